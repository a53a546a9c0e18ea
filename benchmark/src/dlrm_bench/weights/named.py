"""The model's weights in a snapshot: names, checks, and reading them as the dump's tensors."""

from __future__ import annotations

import functools
import hashlib
import io
import mmap
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import ID_COLUMNS, MULTI_HOT, weight_shapes
from dlrm_bench.weights.snapshot import METADATA, Snapshot

FOLDER = "model_weights"
SHOWN_PROBLEMS = 5
BLOCK_BYTES = 16 << 20
#: Rows copied from a mapping before its pages are released: the kernel may map 64 KiB around each.
TAKE_ROWS = 2048
_RULES = (
    (r"sparse_arch\.(.*embedding_bags)\.(\d+)\.weight", r"model.sparse_arch.\1.t_cat_\2.weight"),
    (r"inter_arch\.crossnet\.MLPs\.V(\d)\.weight", r"model.inter_arch.crossnet.V_kernels.\1"),
    (r"inter_arch\.crossnet\.MLPs\.W(\d)\.weight", r"model.inter_arch.crossnet.W_kernels.\1"),
    (r"inter_arch\.crossnet\.MLPs\.W(\d)\.bias", r"model.inter_arch.crossnet.bias.\1"),
    (r"over_arch\.model\._mlp\.8\.(\w+)", r"model.over_arch.model.1.\1"),
)


def snapshot_name(name: str) -> str:
    """Name in the snapshot (torchrec's) of a tensor of the dump; ValueError if it is unknown."""
    for pattern, replacement in _RULES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    # The dump's numbers count an MLP's ReLU layers, torchrec's do not.
    matched = re.fullmatch(r"(dense_arch\.model|over_arch\.model)\._mlp\.(\d)\.(\w+)", name)
    if matched is None:
        raise ValueError(f"'{name}' is not a tensor of DLRM-DCNv2")
    inner = ".0" if matched[1] == "over_arch.model" else ""
    return f"model.{matched[1]}{inner}._mlp.{int(matched[2]) // 2}._linear.{matched[3]}"


def open_weights(
    folder: Path, rows: Sequence[int], more_rows: bool = False, listed: Sequence[str] = ()
) -> Snapshot:
    """A snapshot that holds the whole model; StageError names what is missing or wrong.

    `rows`: of each table; `more_rows`: allows longer tables; `listed`: missing files of md5 lists.
    """
    snapshot = Snapshot(folder)
    wanted = {snapshot_name(name): shape for name, shape in weight_shapes(rows).items()}
    problems = snapshot.problems(wanted, more_rows)
    problems += [f"file '{name}' of the md5 list is missing" for name in listed]
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        left = len(problems) - SHOWN_PROBLEMS
        raise StageError(
            f"weights '{folder}' are not complete",
            shown + (f"; and {left} more" if left > 0 else ""),
            "Fetch the weights again, then run again",
        )
    return snapshot


def load_small(snapshot: Snapshot, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """All tensors but the tables, in memory (64 MB), under the dump's names."""
    return {
        name: torch.from_numpy(snapshot.read(snapshot_name(name), shape))
        for name, shape in weight_shapes(rows).items()
        if "embedding_bags" not in name
    }


class TableRows:
    """Copies rows of one table, by number, out of its mapped shards; no page stays mapped."""

    def __init__(self, snapshot: Snapshot, name: str) -> None:
        pieces = snapshot.tensors[name].pieces
        self._starts = np.array([piece.row for piece in pieces])
        self._width = pieces[0].shape[1]
        self._shards = []
        for piece in pieces:
            with (snapshot.folder / piece.location).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            mapped.madvise(mmap.MADV_RANDOM)
            values = piece.shape[0] * self._width
            shard = np.frombuffer(mapped, "<f4", values, piece.start).reshape(piece.shape)
            self._shards.append((mapped, shard))

    def take(self, ids: Array) -> Array:
        """float32 [n, width] of ascending row numbers."""
        taken = np.empty((len(ids), self._width), np.float32)
        owners = np.searchsorted(self._starts, ids, side="right") - 1
        for at in range(0, len(ids), TAKE_ROWS):
            some = slice(at, at + TAKE_ROWS)
            for owner in np.unique(owners[some]):
                mapped, shard = self._shards[owner]
                mine = np.flatnonzero(owners[some] == owner) + at
                taken[mine] = shard[ids[mine] - self._starts[owner]]
                mapped.madvise(mmap.MADV_DONTNEED)
        return taken


def compact_ids(ids: Array) -> tuple[Array, list[Array]]:
    """The ids [n, 214] renumbered, table by table, over the rows they name; and those rows."""
    local = np.empty_like(ids)
    needed = []
    for column, hot in zip(ID_COLUMNS, MULTI_HOT, strict=True):
        part = slice(column, column + hot)
        rows, numbers = np.unique(ids[:, part], return_inverse=True)
        local[:, part] = numbers.reshape(-1, hot)
        needed.append(rows)
    return local, needed


def copy_checked(
    snapshot: Snapshot, location: str, wanted: Sequence[str], output: HashedFile
) -> str:
    """Copy one file of the snapshot, checking the values of `wanted` tensors; returns its md5.

    Each byte is read once. StageError names tensor, row and column of a NaN or infinity.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    path = snapshot.folder / location

    def put(size: int, check: Callable[[Array, int], None] | None) -> None:
        done = 0
        while done < size:
            block = file.read(min(size - done, BLOCK_BYTES))
            if not block:
                what = f"the weights file '{location}' cannot be read"
                why = f"it ended {size - done} bytes early"
                raise StageError(what, why, "Fetch the file again")
            if check:
                check(np.frombuffer(block, "<f4"), done // 4)
            md5.update(block)
            output.write(block)
            done += len(block)

    with path.open("rb", buffering=0) as raw, io.BufferedReader(raw) as file:
        for name, piece in snapshot.pieces_in(location, wanted):
            if piece.start < file.tell():
                raise StageError(
                    f"the weights file '{location}' cannot be used",
                    f"tensor '{name}' overlaps another from byte {piece.start} on",
                    "Fetch the folder again",
                )
            put(piece.start - file.tell(), None)
            put(piece.bytes, functools.partial(piece.check_finite, name))
        put(path.stat().st_size - file.tell(), None)
    return md5.hexdigest()


def find_snapshot(folder: Path) -> Path:
    """The snapshot in a folder the user named: itself or its model_weights/."""
    for candidate in (folder, folder / FOLDER):
        if (candidate / METADATA).is_file():
            return candidate
    raise StageError(
        f"no weights in '{folder}'",
        f"{METADATA} is neither in it nor in its subfolder '{FOLDER}'",
        "Set weights_source to the folder fetched from MLCommons' model_weights",
    )

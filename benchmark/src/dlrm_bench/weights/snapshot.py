"""Reads torchsnapshot folders, the format MLCommons ships the dlrm-v2 weights in.

`.snapshot_metadata` (YAML, or JSON as its subset) lists under "manifest" every tensor as
"<rank>/<app state>/<name>" with the files, rows and bytes that hold it. Only raw data is read.
"""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file, unreadable

METADATA = ".snapshot_metadata"
APP_STATE = "model"
BLOCK_BYTES = 16 << 20
FloatArray = np.ndarray[Any, np.dtype[np.float32]]
_REFETCH = "Fetch the folder again; rclone check or the md5 list shows what differs"


@dataclass(frozen=True)
class Piece:
    """Rows `row`..`row + shape[0]` of a tensor, raw in a file from byte `start`."""

    row: int
    shape: tuple[int, ...]
    location: str
    start: int
    whole_columns: bool

    @property
    def bytes(self) -> int:
        """Bytes of this piece in its file."""
        return math.prod(self.shape) * 4

    def check_finite(self, name: str, block: FloatArray, first: int) -> None:
        """StageError for NaN or infinity in `block`, this piece's values from number `first` on."""
        finite = np.isfinite(block)
        if finite.all():
            return
        bad = first + int(finite.argmin())
        row, column = divmod(bad, math.prod(self.shape[1:]))
        where = f"row {self.row + row}" + (f", column {column}" if self.shape[1:] else "")
        raise StageError(
            f"the weights file '{self.location}' cannot be used",
            f"tensor '{name}' is {block[bad - first]} at {where}, wanted a finite number",
            "Fetch the file again; if the new file is the same, export the weights again",
        )


@dataclass
class StoredTensor:
    """One tensor of the manifest; pieces sorted by row."""

    shape: tuple[int, ...]
    pieces: list[Piece] = field(default_factory=list)
    refusal: str = ""


class Snapshot:
    """A folder and its manifest, merged over the ranks that wrote it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors: dict[str, StoredTensor] = {}
        path = folder / METADATA
        require_file(path, "Give the folder that holds .snapshot_metadata")
        try:
            manifest = _parse(path.read_text(encoding="utf-8"))["manifest"]
            for key, entry in sorted(manifest.items()):
                self._add(key, entry)
        except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
            why = f"it is not a torchsnapshot's metadata ({type(error).__name__}: {error})"
            what = f"the weights' metadata '{path}' cannot be read"
            raise StageError(what, why, _REFETCH) from error

    def _add(self, key: str, entry: Mapping[str, Any]) -> None:
        _rank, state, *rest = key.split("/", 2)
        if state != APP_STATE or not rest:
            return
        name = urllib.parse.unquote(rest[0])
        pieces = _pieces(entry)
        if not pieces:
            return
        tensor = self.tensors.setdefault(name, StoredTensor(()))
        known = {piece.row for piece in tensor.pieces}
        for piece, refusal in pieces:
            tensor.refusal = tensor.refusal or refusal
            if piece.row not in known:  # A replicated tensor is listed by every rank.
                tensor.pieces.append(piece)
        tensor.pieces.sort(key=lambda piece: piece.row)
        last = tensor.pieces[-1]
        # Scalars have no rows, and the model has no scalars.
        if last.shape:
            tensor.shape = (last.row + last.shape[0], *last.shape[1:])

    def files(self) -> list[str]:
        """Every file the tensors lie in, relative to the folder."""
        return sorted({p.location for t in self.tensors.values() for p in t.pieces})

    def problems(self, wanted: Mapping[str, tuple[int, ...]], more_rows: bool) -> list[str]:
        """Why wanted tensors cannot be read, one phrase for each; empty if all can.

        `more_rows`: a tensor may be longer than wanted (its first rows are taken).
        """
        found: list[str] = []
        for name, shape in wanted.items():
            tensor = self.tensors.get(name)
            if tensor is None:
                found.append(f"tensor '{name}' is missing from {METADATA}")
            elif tensor.refusal:
                found.append(f"tensor '{name}' {tensor.refusal}")
            else:
                found += self._shape_problems(name, tensor, shape, more_rows)
        short = self._file_problems([n for n in wanted if n in self.tensors])
        return found + short

    def _shape_problems(
        self, name: str, tensor: StoredTensor, shape: tuple[int, ...], more_rows: bool
    ) -> list[str]:
        row = 0
        for piece in tensor.pieces:
            if piece.row != row or not piece.whole_columns:
                return [f"tensor '{name}' has no shard for row {row} of {tensor.shape[0]}"]
            row += piece.shape[0]
        # Some writers keep a bias as a column.
        squeezed = tuple(n for n in tensor.shape if n != 1) or tensor.shape
        plain = tensor.shape if len(tensor.shape) == len(shape) else squeezed
        fits = plain[1:] == shape[1:] and plain and plain[0] >= shape[0]
        if not fits or (plain[0] > shape[0] and not more_rows):
            return [f"tensor '{name}' has shape {list(tensor.shape)}, wanted {list(shape)}"]
        return []

    def _file_problems(self, names: Sequence[str]) -> list[str]:
        ends: dict[str, int] = {}
        for name in names:
            for piece in self.tensors[name].pieces:
                end = piece.start + piece.bytes
                ends[piece.location] = max(ends.get(piece.location, 0), end)
        found = []
        for location, end in sorted(ends.items()):
            path = self.folder / location
            why = unreadable(path)
            if why.startswith("it is not there"):
                found.append(f"file '{location}' is missing")
            elif why:
                found.append(f"file '{location}' cannot be read: {why}")
            elif path.stat().st_size < end:
                found.append(f"file '{location}' has {path.stat().st_size} bytes, wanted {end}")
        return found

    def blocks(self, name: str, rows: int) -> Iterator[FloatArray]:
        """The first `rows` rows in order, in flat float32 blocks of at most 16 MiB, all finite."""
        left = rows
        for piece in self.tensors[name].pieces:
            values = math.prod(piece.shape[1:])
            remaining = wanted = min(left, piece.shape[0]) * values
            left -= min(left, piece.shape[0])
            with (self.folder / piece.location).open("rb") as file:
                file.seek(piece.start)
                while remaining:
                    block = np.fromfile(file, "<f4", min(remaining, BLOCK_BYTES // 4))
                    if block.size == 0:
                        what = f"the weights file '{piece.location}' cannot be read"
                        raise StageError(what, "it ended early", _REFETCH)
                    piece.check_finite(name, block, wanted - remaining)
                    remaining -= block.size
                    yield block

    def pieces_in(self, location: str, names: Sequence[str]) -> list[tuple[str, Piece]]:
        """The named tensors' pieces of one file, in its order."""
        found = [
            (name, p) for name in names for p in self.tensors[name].pieces if p.location == location
        ]
        return sorted(found, key=lambda item: item[1].start)

    def read(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        """A whole tensor (or its first rows) in memory."""
        whole: FloatArray = np.empty(math.prod(shape), np.float32)
        at = 0
        for block in self.blocks(name, shape[0]):
            whole[at : at + block.size] = block
            at += block.size
        return whole.reshape(shape)


def _parse(text: str) -> Any:
    # Newer writers emit JSON, which the YAML loader reads slowly.
    if text.lstrip().startswith("{"):
        return json.loads(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)


def _pieces(entry: Mapping[str, Any]) -> list[tuple[Piece, str]]:
    """Pieces of a manifest entry, each with why it cannot be read (or ''); [] for other entries."""
    kind = entry["type"]
    if kind == "Tensor":
        shape = entry["shape"]
        return [_piece(entry, [0] * len(shape), shape, shape)]
    parts = {"ShardedTensor": "shards", "ChunkedTensor": "chunks", "DTensor": "shards"}
    if kind not in parts:
        return []
    listed = entry[parts[kind]]
    columns = [max([*s["offsets"][1:], 0]) == 0 for s in listed]
    found = [_piece(s["tensor"], s["offsets"], s["sizes"], s["tensor"]["shape"]) for s in listed]
    if all(columns):
        return found
    return [(piece, "is sharded by columns, which is not supported") for piece, _ in found]


def _piece(
    tensor: Mapping[str, Any], offsets: Sequence[int], sizes: Sequence[int], shape: Sequence[int]
) -> tuple[Piece, str]:
    refusal = ""
    if tensor["serializer"] != "buffer_protocol":
        refusal = f"is stored as '{tensor['serializer']}', wanted raw 'buffer_protocol'"
    elif tensor["dtype"] != "torch.float32":
        refusal = f"has dtype '{tensor['dtype']}', wanted 'torch.float32'"
    elif list(sizes) != list(shape):
        refusal = f"has a shard of sizes {list(sizes)} stored with shape {list(shape)}"
    start, *rest = tensor.get("byte_range") or [0]
    numbers = [*shape, *offsets, start, *rest]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"shape, offsets or byte range {numbers} are not all natural numbers")
    location = tensor["location"]
    if location != str(PurePosixPath(location)) or not set(location.split("/")).isdisjoint(
        {"", ".", ".."}
    ):
        raise ValueError(f"location '{location}' is not a plain path below the folder")
    row = offsets[0] if offsets else 0
    piece = Piece(row, tuple(shape), location, start, not any(offsets[1:]))
    if not refusal and rest and rest[0] - start != piece.bytes:
        refusal = f"has {rest[0] - start} bytes in '{location}', wanted {piece.bytes}"
    return piece, refusal

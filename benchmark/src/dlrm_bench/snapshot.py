"""Reads and writes torchsnapshot folders, the format MLCommons ships the dlrm-v2 weights in.

`.snapshot_metadata` (YAML, or JSON as its subset) lists under "manifest" every tensor as
"<rank>/<app state>/<name>" with the files, rows and bytes that hold it. Raw data only.
"""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dlrm_bench.contract import HashedFile, StageError

METADATA = ".snapshot_metadata"
APP_STATE = "model"
CHUNK_ROWS = 1_048_576
BLOCK_BYTES = 16 << 20
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
        """Of this piece in its file."""
        return math.prod(self.shape) * 4


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
        what = f"cannot read the weights' '{path}'"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StageError(
                what, str(error), "Give the folder that holds .snapshot_metadata"
            ) from error
        try:
            manifest = _parse(text)["manifest"]
            for key, entry in sorted(manifest.items()):
                self._add(key, entry)
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"it is not a torchsnapshot's metadata ({type(error).__name__}: {error})"
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
        # Scalars have no rows and are none of the model's.
        if last.shape:
            tensor.shape = (last.row + last.shape[0], *last.shape[1:])

    def files(self) -> list[str]:
        """Every file the tensors lie in, relative to the folder."""
        return sorted({p.location for t in self.tensors.values() for p in t.pieces})

    def problems(self, wanted: Mapping[str, tuple[int, ...]], more_rows: bool) -> list[str]:
        """What keeps the wanted tensors from being read, a phrase each; empty when complete.

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
            if not path.is_file():
                found.append(f"file '{location}' is missing")
            elif path.stat().st_size < end:
                found.append(f"file '{location}' has {path.stat().st_size} bytes, wanted {end}")
        return found

    def blocks(self, name: str, rows: int) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        """The first `rows` rows in order, in flat float32 blocks of at most 16 MiB."""
        left = rows
        for piece in self.tensors[name].pieces:
            values = math.prod(piece.shape[1:])
            remaining = min(left, piece.shape[0]) * values
            left -= min(left, piece.shape[0])
            with (self.folder / piece.location).open("rb") as file:
                file.seek(piece.start)
                while remaining:
                    block = np.fromfile(file, "<f4", min(remaining, BLOCK_BYTES // 4))
                    if block.size == 0:
                        why = "it ended early while being read"
                        raise StageError(f"weights' file '{piece.location}'", why, _REFETCH)
                    remaining -= block.size
                    yield block

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A whole tensor (or its first rows) in memory."""
        whole: np.ndarray[Any, np.dtype[np.float32]] = np.empty(math.prod(shape), np.float32)
        at = 0
        for block in self.blocks(name, shape[0]):
            whole[at : at + block.size] = block
            at += block.size
        return whole.reshape(shape)


def _parse(text: str) -> Any:
    if text.lstrip().startswith(
        "{"
    ):  # Newer writers emit JSON, which the YAML loader reads slowly.
        return json.loads(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)


def _pieces(entry: Mapping[str, Any]) -> list[tuple[Piece, str]]:
    """Pieces of a manifest entry, each with a reason it cannot be read (or none); [] for others."""
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
    start = (tensor.get("byte_range") or [0])[0]
    row = offsets[0] if offsets else 0
    piece = Piece(row, tuple(shape), tensor["location"], start, not any(offsets[1:]))
    return piece, refusal


OpenOutput = Callable[[str], AbstractContextManager[HashedFile]]


class SnapshotWriter:
    """Writes the layout of the official folder: tables in row shards, small tensors in one slab."""

    def __init__(self, open_output: OpenOutput, world_size: int = 8) -> None:
        self._open, self._world_size = open_output, world_size
        self._manifest: dict[str, Any] = {}
        self._names: dict[int, list[str]] = {rank: [] for rank in range(world_size)}

    def _put(self, rank: int, name: str, entry: dict[str, Any]) -> None:
        self._names[rank].append(name)
        self._manifest[f"{rank}/{APP_STATE}/{name}"] = entry

    def table(
        self,
        name: str,
        shape: tuple[int, int],
        rows_between: Callable[[int, int], Iterator[Any]],
    ) -> None:
        """A table, one shard a rank, in chunks; `rows_between(a, b)` yields those rows' buffers."""
        rows, width = shape
        # A short table is one shard, as a planner would place it.
        shard_rows = rows if rows < 10_000 else math.ceil(rows / self._world_size)
        for rank in range(self._world_size):
            begin, end = rank * shard_rows, min((rank + 1) * shard_rows, rows)
            shards = []
            for row in range(begin, end, CHUNK_ROWS):
                stop = min(row + CHUNK_ROWS, end)
                location = f"sharded/{APP_STATE}/{name}_{row}_0"
                with self._open(location) as output:
                    for block in rows_between(row, stop):
                        output.write(block)
                sizes = [stop - row, width]
                tensor = _tensor_entry(location, sizes, replicated=False)
                shards.append({"offsets": [row, 0], "sizes": sizes, "tensor": tensor})
            if shards:
                self._put(rank, name, {"type": "ShardedTensor", "shards": shards})

    def slab(self, tensors: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """All the small tensors in one file."""
        location = "batched/0"
        with self._open(location) as output:
            for name, values in tensors.items():
                start = output.tell()
                output.write(np.ascontiguousarray(values, "<f4"))
                entry = _tensor_entry(location, list(values.shape), replicated=True)
                entry["byte_range"] = [start, output.tell()]
                self._put(0, name, entry)

    def close(self) -> None:
        """The metadata, last: a folder without it is no snapshot."""
        states = {
            f"{rank}/{APP_STATE}": {"type": "OrderedDict", "keys": sorted(names)}
            for rank, names in self._names.items()
        }
        document = {
            "version": "0.1.0",
            "world_size": self._world_size,
            "manifest": {**states, **self._manifest},
        }
        with self._open(METADATA) as output:
            output.write(yaml.safe_dump(document, sort_keys=True).encode())


def _tensor_entry(location: str, shape: list[int], replicated: bool) -> dict[str, Any]:
    return {
        "type": "Tensor",
        "location": location,
        "serializer": "buffer_protocol",
        "dtype": "torch.float32",
        "shape": shape,
        "replicated": replicated,
        "byte_range": None,
    }

"""Writes torchsnapshot folders in the layout MLCommons ships; snapshot.py reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import yaml

from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.weights.snapshot import APP_STATE, METADATA

CHUNK_ROWS = 1_048_576
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
        """Write a table: one shard a rank, in chunks; `rows_between(a, b)` yields rows a..b."""
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
        """Write all small tensors into one file."""
        location = "batched/0"
        with self._open(location) as output:
            for name, values in tensors.items():
                start = output.tell()
                output.write(np.ascontiguousarray(values, "<f4"))
                entry = _tensor_entry(location, list(values.shape), replicated=True)
                entry["byte_range"] = [start, output.tell()]
                self._put(0, name, entry)

    def close(self) -> None:
        """Write the metadata last: a folder without it is not a snapshot."""
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

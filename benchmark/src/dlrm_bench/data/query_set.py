"""The test half's samples: on disk (.bin files, aggregation trace) and LoadGen's set in memory.

Sample i is rows start..end of the trace; a row is one user-item pair: 13 dense float32, 214 ids
int32 and a label. The loaded set lies in anonymous shared memory, which the workers map.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlrm_bench.data.names import DENSE_ROW_BYTES, LABEL_SPARSE_ROW_BYTES, REMADE
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file
from dlrm_bench.memory.shared import SharedMemory
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS

#: Bytes of a pair in shared memory: dense, ids and one label.
PAIR_BYTES = DENSE_ROW_BYTES + 4 * IDS + 4

Progress = Callable[[int, int], None]


def read_trace(path: Path) -> Array:
    """Row where each sample starts, and the end of the last: int64 [samples + 1]."""
    what = f"aggregation trace '{path}' cannot be used"
    require_file(path, REMADE)
    try:
        fields = path.read_text(encoding="ascii").replace(",", " ").split()
        table = np.array(fields, dtype=np.int64).reshape(-1, 3)
    except (ValueError, OverflowError) as error:
        raise StageError(what, f"a line is not 'start, end, length' ({error})", REMADE) from error
    if not len(table):
        raise StageError(what, "it lists no samples", REMADE)
    starts = np.concatenate([[0], table[:, 1]])
    bad = np.flatnonzero(
        (table[:, 0] != starts[:-1])
        | (table[:, 2] != table[:, 1] - table[:, 0])
        | (table[:, 2] <= 0)
    )
    if bad.size:
        line = ", ".join(str(n) for n in table[bad[0]])
        previous = int(starts[bad[0]])
        wanted = f"its start must be {previous} and its length end - start, more than 0"
        why = f"line {bad[0] + 1} is '{line}', but {wanted}"
        raise StageError(what, why, REMADE)
    return starts


def _map(path: Path, rows: int, row_bytes: int) -> mmap.mmap:
    require_file(path, REMADE)
    size = path.stat().st_size
    if size != rows * row_bytes:
        cut = "truncated" if size < rows * row_bytes else "too long"
        raise StageError(
            f"'{path}' is {cut}",
            f"it has {size} bytes, but the trace's {rows} rows need {rows * row_bytes}",
            REMADE,
        )
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    mapped.madvise(mmap.MADV_SEQUENTIAL)
    return mapped


class SampleFiles:
    """The test half on disk, mapped read-only; sizes checked against the trace."""

    def __init__(self, dense: Path, label_sparse: Path, trace: Path) -> None:
        self.starts = read_trace(trace)
        self.rows = int(self.starts[-1])
        self.samples = len(self.starts) - 1
        self.lengths = np.diff(self.starts)
        self.dense: Array = np.frombuffer(
            _map(dense, self.rows, DENSE_ROW_BYTES), dtype=np.float32
        ).reshape(-1, DENSE_FEATURES)
        self.label_sparse: Array = np.frombuffer(
            _map(label_sparse, self.rows, LABEL_SPARSE_ROW_BYTES), dtype=np.int32
        ).reshape(-1, 1 + IDS)

    def check_promise(self, dataset: dict[str, Any], path: Path) -> None:
        """Refuse files that are not those dataset.json describes."""
        for field, found in (("rows", self.rows), ("samples", self.samples), ("pairs", self.rows)):
            if dataset.get(field, found) != found:
                why = f"'{path}' promises {dataset[field]} {field}, but the trace has {found}"
                raise StageError("the .bin files and dataset.json disagree", why, REMADE)


class PairArrays:
    """dense [pairs, 13], ids [pairs, 214] and labels [pairs] in one piece of shared memory."""

    def __init__(self, memory: SharedMemory, pairs: int) -> None:
        ids_at, labels_at = DENSE_ROW_BYTES * pairs, (DENSE_ROW_BYTES + 4 * IDS) * pairs
        self.dense = memory.array(np.float32, 0, (pairs, DENSE_FEATURES))
        self.ids = memory.array(np.int32, ids_at, (pairs, IDS))
        self.labels = memory.array(np.float32, labels_at, (pairs,))


class QuerySet:
    """Copies of chosen samples, resident in shared memory."""

    def __init__(self, files: SampleFiles, samples: Sequence[int], progress: Progress) -> None:
        wanted: Array = np.unique(np.asarray(samples, dtype=np.int64))
        if wanted.size and not 0 <= wanted[0] <= wanted[-1] < files.samples:
            last = files.samples - 1
            why = f"it asked for {wanted[0]}..{wanted[-1]}, but there are only samples 0..{last}"
            raise StageError("LoadGen asked for unknown samples", why, "Report this as a bug")
        lengths = files.lengths[wanted]
        self.samples = len(wanted)
        self.pairs = int(lengths.sum())
        #: First pair of each sample in the arrays; -1 for samples not loaded.
        self.offsets: Array = np.full(files.samples, -1, dtype=np.int64)
        self.offsets[wanted] = np.cumsum(lengths) - lengths
        self.lengths = files.lengths
        self.memory = SharedMemory(self.pairs * PAIR_BYTES)
        self.arrays = PairArrays(self.memory, self.pairs)
        self._copy(files, wanted, progress)

    @property
    def bytes(self) -> int:
        """Bytes of shared memory."""
        return self.memory.size

    def _copy(self, files: SampleFiles, wanted: Array, progress: Progress) -> None:
        # In ascending order the files are read from front to back.
        to, at = self.arrays, 0
        for number, sample in enumerate(wanted):
            first, last = int(files.starts[sample]), int(files.starts[sample + 1])
            part = slice(at, at + last - first)
            to.dense[part] = files.dense[first:last]
            to.ids[part] = files.label_sparse[first:last, 1:]
            to.labels[part] = files.label_sparse[first:last, 0]
            at = part.stop
            if number % 64 == 0:
                progress(at, self.pairs)
        progress(self.pairs, self.pairs)

    def spans(self, samples: Array) -> Array:
        """Offset and length in pairs of each sample, int64 [n, 2]; each must be loaded."""
        offsets = self.offsets[samples]
        if len(offsets) and offsets.min() < 0:
            missing = int(samples[int(offsets.argmin())])
            why = f"sample {missing} is in the query, but not in the set LoadGen had loaded"
            raise StageError("a query cannot be answered", why, "Report this as a bug")
        return np.stack([offsets, self.lengths[samples]], axis=1)

    def close(self) -> None:
        """Release the memory; it is free once the workers release it too."""
        self.memory.close()
        del self.arrays

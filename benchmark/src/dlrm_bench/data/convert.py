"""Splits day 23 into the rows that are scored and the rows that calibrate, in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dlrm_bench.data import names as bins, synthetic
from dlrm_bench.data.day import Block, DayFiles, check_ids
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.frame.sources import Progress
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, MULTI_HOT, TABLES, Fp32Model, table_name
from dlrm_bench.weights.named import TableRows, compact_ids, load_small, snapshot_name
from dlrm_bench.weights.snapshot import Snapshot

#: Rows whose labels are planted from one stream of random numbers.
BLOCK_ROWS = 8192
#: Rows of a block without planted labels: its 2 MB are still in a core's cache when written.
UNPLANTED_BLOCK_ROWS = 2048
FORWARD_ROWS = 1024
_PLANT = 100


@dataclass(frozen=True)
class Plan:
    """Which rows go where: 0..test are scored, test..test + calibration calibrate."""

    rows: int
    test: int
    calibration: int

    @classmethod
    def of(cls, rows: int, most_calibration: int = bins.CALIBRATION_ROWS) -> Plan:
        """The published split of `rows`."""
        test = bins.test_half(rows)
        return cls(rows, test, min(most_calibration, rows - test))

    @property
    def read(self) -> int:
        """Number of rows that are read."""
        return self.test + self.calibration


class Planter:
    """Draws each label with the fp32 model's click probability and a fixed random seed.

    Only the table rows that FORWARD_ROWS pairs name are ever in memory.
    """

    def __init__(self, snapshot: Snapshot, rows_of_tables: Sequence[int], seed: int) -> None:
        self._seed = seed
        self._small = load_small(snapshot, rows_of_tables)
        self._tables = [
            TableRows(snapshot, snapshot_name(table_name(table))) for table in range(TABLES)
        ]
        torch.set_num_threads(len(os.sched_getaffinity(0)))

    def plant(self, first: int, dense: Array, ids: Array) -> tuple[Array, Array]:
        """Probabilities float32 [n] and labels int32 [n] of rows from `first` on."""
        parts = []
        for at in range(0, len(dense), FORWARD_ROWS):
            some = slice(at, at + FORWARD_ROWS)
            local, needed = compact_ids(ids[some])
            weights = dict(self._small)
            for table, rows in enumerate(needed):
                weights[table_name(table)] = torch.from_numpy(self._tables[table].take(rows))
            x, chosen = torch.from_numpy(dense[some]), torch.from_numpy(local)
            parts.append(Fp32Model(weights).forward(x, chosen).numpy())
        probability = np.concatenate(parts)
        drawn = synthetic.generator(self._seed, _PLANT, first).random(len(probability))
        return probability, (drawn < probability).astype(np.int32)


def convert(
    ctx: StageContext,
    day: DayFiles,
    plan: Plan,
    rows_of_tables: Sequence[int],
    planter: Planter | None,
) -> None:
    """Write the .bin files, the calibration set and, with a planter, the planted probabilities."""
    limits = np.repeat(np.asarray(rows_of_tables, np.int32), MULTI_HOT)
    official = not ctx.request.parameters.demo
    phase = "planting labels, writing .bin files" if planter else "writing .bin files"
    progress = Progress(ctx.status, phase, plan.read, "rows/s")
    with ExitStack() as stack:
        outputs = _Outputs(lambda name: stack.enter_context(ctx.open_output(name)), plan, planter)
        for block in day.blocks(plan.read, BLOCK_ROWS if planter else UNPLANTED_BLOCK_ROWS):
            check_ids(block.first, block.ids, limits, official)
            if not official:
                np.remainder(block.ids, limits, out=block.ids)
            outputs.write(block)
            progress.add(len(block.dense))
        left = Progress(ctx.status, "checking the source's checksums", day.left, "bytes/s")
        day.finish(left.add)


class _Outputs:
    """The open output files and which rows of a block go to each."""

    def __init__(
        self, open_output: Callable[[str], HashedFile], plan: Plan, planter: Planter | None
    ) -> None:
        self._plan, self._planter = plan, planter
        self._dense = open_output(bins.DENSE_NAME)
        self._label_sparse = open_output(bins.LABEL_SPARSE_NAME)
        self._calibration_dense = open_output(bins.CALIBRATION_DENSE_NAME)
        self._calibration_sparse = open_output(bins.CALIBRATION_SPARSE_NAME)
        npy_header(self._calibration_dense, "<f4", (plan.calibration, DENSE_FEATURES))
        npy_header(self._calibration_sparse, "<i4", (plan.calibration, IDS))
        if planter:
            self._probability = open_output(bins.PLANTED_NAME)
            npy_header(self._probability, "<f4", (plan.test,))

    def write(self, block: Block) -> None:
        """Rows before plan.test are scored, later rows calibrate; no row does both."""
        split = min(max(self._plan.test - block.first, 0), len(block.dense))
        if split:
            dense, ids = block.dense[:split], block.ids[:split]
            if self._planter:
                probability, labels = self._planter.plant(block.first, dense, ids)
                self._probability.write(probability)
                block.labels[:split] = labels
            self._dense.write(dense)
            self._label_sparse.write(block.label_sparse[:split])
        if split < len(block.dense):
            self._calibration_dense.write(np.ascontiguousarray(block.dense[split:]))
            self._calibration_sparse.write(np.ascontiguousarray(block.ids[split:]))


def npy_header(output: Any, dtype: str, shape: tuple[int, ...]) -> None:
    """Write the header of an .npy file; the caller writes its rows afterwards."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(output, header)


class SyntheticDay:
    """Blocks of a made-up day 23, for day.write_day_files."""

    def __init__(self, seed: int, rows_of_tables: Sequence[int]) -> None:
        self._seed, self._rows = seed, rows_of_tables

    def dense(self, block: int, rows: int) -> Array:
        """float32 [rows, 13]"""
        return synthetic.dense_features(self._seed, block, rows)

    def labels(self, block: int, rows: int) -> Array:
        """int32 [rows, 1]"""
        return synthetic.labels(self._seed, block, rows)

    def ids(self, table: int, block: int, rows: int) -> Array:
        """int32 [rows, hot]"""
        return synthetic.table_ids(self._seed, table, block, rows, self._rows[table])

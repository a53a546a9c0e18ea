"""Finds the fastest engine and batch here: every worker holds all of them and runs them in turns.

They are timed on the calibration set alone: the choice does not see the scored half of the data.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlrm_bench.engines.choice import Choice, load_engine
from dlrm_bench.measure.probe import repeat
from dlrm_bench.network.arrays import Array
from dlrm_bench.serving.pool import part_pairs
from dlrm_bench.tuning.contenders import UNDISTURBED, WALL, CalibrationPairs, Contender
from dlrm_bench.weights.dump import mapped_once
from dlrm_bench.workers.pool import Batch, WorkerPool

#: Timed rounds of each candidate; fewer, down to LEAST_ROUNDS, if the time is up.
ROUNDS, LEAST_ROUNDS = 5, 3


class Turns:
    """One byte that all workers map: whose turn it is."""

    def __init__(self, path: Path) -> None:
        """`path`: a file of one byte that the stage has made."""
        with path.open("r+b") as file:
            self._byte = mmap.mmap(file.fileno(), 1)

    @property
    def now(self) -> int:
        """Number of the contender that runs."""
        return self._byte[0]

    @now.setter
    def now(self, number: int) -> None:
        self._byte[0] = number


class Contest:
    """A worker's engine that holds all contenders and runs the one whose turn it is."""

    name = "contest"

    def __init__(
        self,
        precision: str,
        path: Path,
        rows: Sequence[int],
        choices: Sequence[Choice],
        turns: Path,
    ) -> None:
        with mapped_once():
            self._engines = [load_engine(precision, path, rows, choice) for choice in choices]
        self._turns = Turns(turns)

    @property
    def best_batch(self) -> int:
        """Pairs of a call of the contender whose turn it is."""
        return self._engines[self._turns.now].best_batch

    def forward(self, dense: Array, ids: Array) -> Array:
        """As Engine's."""
        return self._engines[self._turns.now].forward(dense, ids)


@dataclass
class Race:
    """Times contenders in a pool of Contest workers that have the pairs attached."""

    pool: WorkerPool
    pairs: CalibrationPairs
    turns: Turns
    contenders: Sequence[Contender]
    server: bool
    progress: Callable[[float], None]  # gets percent
    major_faults: int = 0

    def run(self, seconds: float) -> None:
        """Warm up, then time rounds in which all contenders run, for about `seconds` in all."""
        count, began = len(self.contenders), time.monotonic()
        work: list[list[Batch]] = []
        rates: list[float] = []
        for number, contender in enumerate(self.contenders):
            warm = self.pairs.batches(contender.choice.batch)
            rates.append(self._go(number, warm, 0.0, 1.0)[WALL])
            if self.server:
                # As in the run, parts are sized by the speed of an engine that is warm.
                rates[-1] = self._go(number, warm, 0.0, 1.0)[WALL]
            work.append(self._parts(contender, rates[-1]) if self.server else warm)
        for round_ in range(ROUNDS):
            if round_ >= LEAST_ROUNDS and time.monotonic() - began > seconds:
                break
            for step in range(count):
                # Each round starts with another contender and other pairs.
                number = (round_ + step) % count
                first = len(work[number]) * round_ // ROUNDS
                batches = work[number][first:] + work[number][:first]
                figures = self._go(number, batches, seconds / (ROUNDS * count), rates[number])
                self.contenders[number].rounds.append(figures)
                self.progress(100 * (round_ * count + step + 1) / (ROUNDS * count))

    def _parts(self, contender: Contender, rate: float) -> list[Batch]:
        most = part_pairs(rate / len(self.pool.cores), contender.choice.batch)
        return self.pairs.parts(most)

    def _go(
        self, number: int, batches: Sequence[Batch], seconds: float, rate: float
    ) -> dict[str, float]:
        """Time one contender on all workers for about `seconds` at `rate` pairs/s.

        The number of batches is fixed beforehand, at least one for each worker, so that all begun
        batches are timed.
        """
        self.turns.now = number
        pairs_a_batch = sum(one.pairs for one in batches) / len(batches)
        most = max(len(self.pool.cores), round(seconds * rate / pairs_a_batch))
        totals = self.pool.run(repeat(batches, lambda n: n >= most), lambda _batch, _results: None)
        self.major_faults += totals.major_faults
        return {
            WALL: round(totals.busy_pairs_per_second, 2),
            UNDISTURBED: round(totals.undisturbed_pairs_per_second, 2),
            "pairs": totals.pairs,
            "seconds": round(totals.seconds, 4),
        }

"""Who races, on what, and who is chosen."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlrm_bench.data.query_set import PAIR_BYTES, PairArrays, QuerySet
from dlrm_bench.data.trace import sample_ends
from dlrm_bench.engines.choice import (
    PORTABLE,
    Choice,
    Engine,
    Int8Engine,
    Int8KernelEngine,
    candidates,
)
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.memory.shared import SharedMemory
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.reference import plain_forward
from dlrm_bench.workers.pool import Batch, batch_pairs, group

#: What is compared: by wall time, or by CPU time where others took part of the cores meanwhile.
WALL, UNDISTURBED = "pairs_per_second", "undisturbed_pairs_per_second"


#: Percent of the cores' time that steal and other load may take before wall time compares nothing.
QUIET_PERCENT = 2.0


#: A choice by less than this share of speed would be noise's: the default stays.
TIE = 0.01


#: A check has a full call and this many pairs of another.
CHECKED_BEYOND = 100


Forward = Callable[[Array, Array], Array]


@dataclass
class Contender:
    """One engine with one batch: what it is, how it was checked, how fast it was."""

    choice: Choice
    name: str = ""  # as stage.json of a run calls the engine
    rejected: str = ""  # why it cannot be chosen
    max_abs_difference: float | None = None
    rounds: list[dict[str, float]] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """Of its rounds' WALL or UNDISTURBED, all workers together."""
        return statistics.median(one[figure] for one in self.rounds)

    def facts(self) -> dict[str, Any]:
        """As tuning.json has it."""
        return {
            "engine": self.choice.engine,
            "batch": self.choice.batch,
            "name": self.name,
            "max_abs_difference": self.max_abs_difference,
            "rejected": self.rejected or None,
            **{name: self.median(name) if self.rounds else None for name in (WALL, UNDISTURBED)},
            "rounds": self.rounds,
        }


def contenders(precision: str) -> list[Contender]:
    """Each candidate with each of its batches; the default, which runs untuned, first."""
    return [
        Contender(Choice(candidate.engine, batch))
        for candidate in candidates(precision)
        for batch in candidate.batches
    ]


def reference(precision: str, path: Path, rows: Sequence[int]) -> tuple[str, Forward, float]:
    """Its name, whose answers every candidate must give, and how far off they may be."""
    if PRECISIONS[precision].model.is_fp32:
        return "torch fp32", plain_forward(path), PRECISIONS[precision].tolerance
    if platform.machine() == "x86_64":
        return "Int8Engine", Int8Engine(path, rows).forward, 0.0
    # PyTorch's first layer, in fp32, has other last bits there, which turn codes over.
    portable = Int8KernelEngine(path, rows, PORTABLE)
    return portable.name, portable.forward, 1e-5


def check(
    contender: Contender,
    make: Callable[[], Engine],
    pairs: PairArrays,
    wanted: Array,
    tolerance: float,
) -> None:
    """Reject it, saying why, if it cannot be made or run, or scores the first pairs otherwise.

    `wanted`: the reference's scores float32 [n], of at least one call's pairs.
    """
    batch = contender.choice.batch
    count = min(batch + CHECKED_BEYOND, len(wanted))
    try:
        engine = make()
        contender.name = getattr(engine, "name", type(engine).__name__)
        scores = np.concatenate(
            [
                engine.forward(pairs.dense[at:end], pairs.ids[at:end])
                for at, end in ((0, min(batch, count)), (min(batch, count), count))
                if at < end
            ]
        )
        worst = float(np.abs(scores - wanted[:count]).max())
    # Whatever it raises, the other candidates are there.
    except Exception as error:
        contender.rejected = f"{type(error).__name__}: {error}"
        return
    if np.isfinite(worst):
        contender.max_abs_difference = worst
    if not worst <= tolerance:
        contender.rejected = (
            f"a score of {count} pairs is {worst:.3g} off the reference's, at most {tolerance:g} is"
            " allowed"
        )


class CalibrationPairs(QuerySet):
    """The calibration set in shared memory, cut into samples of the sizes the trace draws."""

    def __init__(self, dense: Array, ids: Array) -> None:
        """`dense`: float32 [n, 13]; `ids`: int32 [n, 214]."""
        self.pairs = len(dense)
        self.memory = SharedMemory(self.pairs * PAIR_BYTES)
        self.arrays = PairArrays(self.memory, self.pairs)
        self.arrays.dense[:], self.arrays.ids[:] = dense, ids
        ends = sample_ends(self.pairs)
        lengths = np.diff(ends, prepend=0)
        self.cuts: Array = np.stack([ends - lengths, lengths], axis=1)

    def batches(self, batch: int) -> list[Batch]:
        """What Offline hands to a worker at once, of the whole set: as in the middle of a query."""
        # A query's end shrinks batches: the set is put behind itself, and that end left out.
        copies = 1 + -(-4 * batch_pairs(batch) // self.pairs)
        cuts = np.tile(self.cuts, (copies, 1))
        return [one for one in group(cuts, batch) if one.first < len(self.cuts)]

    def parts(self, pairs: int) -> list[Batch]:
        """What Server hands to a worker at once: this many pairs."""
        pairs = min(pairs, self.pairs)
        offsets = range(0, self.pairs - pairs + 1, pairs)
        return [Batch(n, n, np.array([[at, pairs]]), pairs) for n, at in enumerate(offsets)]


def compared_by(evidence: Mapping[str, float | int | None]) -> str:
    """WALL on a quiet machine. Beside other load rounds differ manifold by wall time, not by CPU
    time, and a choice is kept for long."""
    taken = sum(float(evidence[name] or 0) for name in ("steal_percent", "other_load_percent"))
    return WALL if taken <= QUIET_PERCENT else UNDISTURBED


def choose(timed: Sequence[Contender], default: Choice, figure: str) -> Contender:
    """The fastest by its median; the default where that is less than TIE faster."""
    best = max(timed, key=lambda contender: contender.median(figure))
    for contender in timed:
        enough = contender.median(figure) >= (1 - TIE) * best.median(figure)
        if contender.choice == default and enough:
            return contender
    return best

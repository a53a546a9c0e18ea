"""How many samples LoadGen should issue: from a probe of the speed to target_qps.

Offline is one query of int(1.1 x target_qps x min_duration) samples. Too few end before
min_duration (INVALID), too many only cost time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlrm_bench.measure.loadgen import SLACK
from dlrm_bench.network.arrays import Array
from dlrm_bench.workers.pool import Batch

#: By profile; and what each worker's engine does before.
PROBE_SECONDS = {"demo": 2.0, "official": 20.0}
WARM_UP_CALLS = 3
#: Pairs of a probe, and of a trial of Server's rate: enough samples that the caches are as cold as
#: in the run; 1 GB of them.
PROBE_PAIRS = 1_100_000
#: Aimed-at duration as a multiple of min_duration: a probe 9 % too low still gives a VALID run,
#: which a probe with 3 % noise misses once in 800; the allowed range is 1.02..1.20.
AIM = 1.10
#: Of the run and of each further one, should LoadGen end before min_duration: a machine whose speed
#: changes by so much between two runs needs a wider margin.
AIMS = (AIM, 1.2, 1.5, 2.0)

#: The most that neighbours may have taken from the probe: too short a run is INVALID and lost, too
#: long a one only costs time.
MOST_RECOVERED = 4.0


def expected_rate(busy: float, undisturbed: float) -> float:
    """Pairs/s to plan with, from those by wall clock and by CPU time (equal on a quiet machine).

    A neighbour that is gone when LoadGen measures must not leave the run too short.
    """
    return min(max(busy, undisturbed), MOST_RECOVERED * busy)


@dataclass(frozen=True)
class Plan:
    """What the probe leads to."""

    samples: int
    target_qps: float
    samples_per_second: float
    expected_seconds: float


def plan(
    pairs_per_second: float,
    order_lengths: Array,
    min_duration_seconds: float,
    min_samples: int = 1,
    aim: float = AIM,
) -> Plan:
    """The query that lasts aim x min_duration at this speed.

    `order_lengths`: pairs of each sample in the order LoadGen issues them; it repeats that order as
    often as needed, so the pairs of the first n samples are known and need no average.
    """
    ends = np.cumsum(order_lengths)
    per_round, wanted_pairs = int(ends[-1]), aim * min_duration_seconds * pairs_per_second
    rounds, rest = divmod(wanted_pairs, per_round)
    samples = int(rounds) * len(ends) + int(np.searchsorted(ends, rest)) + 1
    samples = max(samples, min_samples)
    full, part = divmod(samples, len(ends))
    pairs = full * per_round + (int(ends[part - 1]) if part else 0)
    seconds = pairs / pairs_per_second
    # In the middle between two counts, so that rounding in LoadGen gives exactly this one.
    target = (samples + 0.5) / (SLACK * min_duration_seconds)
    return Plan(samples, target, samples / seconds, seconds)


def repeat(batches: Sequence[Batch], enough: Callable[[int], bool]) -> Iterator[Batch]:
    """These batches over and over, numbered anew, until `enough` of a batch's number."""
    for number in itertools.count():
        if enough(number):
            return
        batch = batches[number % len(batches)]
        yield Batch(number, batch.first, batch.spans, batch.pairs)


def probe_samples(order: list[int], pairs_wanted: float, lengths: Array) -> list[int]:
    """The first samples of LoadGen's order that hold that many pairs, or all of them."""
    ends = np.cumsum(lengths[np.asarray(order)])
    count = int(np.searchsorted(ends, math.ceil(pairs_wanted))) + 1
    return order[:count]

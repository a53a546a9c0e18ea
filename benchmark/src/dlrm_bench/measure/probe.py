"""How many samples LoadGen should issue: computes target_qps from the probed speed.

Offline is one query of int(1.1 x target_qps x min_duration) samples. Too few samples end before
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

#: Seconds of a probe, by profile, and each worker's engine calls before it.
PROBE_SECONDS = {"demo": 2.0, "official": 20.0}
WARM_UP_CALLS = 3
#: Pairs of a probe, and of a trial of Server's rate: 1 GB, enough that its caches are as cold as
#: the run's.
PROBE_PAIRS = 1_100_000
#: Planned duration as a multiple of min_duration. A probe 9 % too low still gives a VALID run; a
#: probe with 3 % noise is lower once in 800. The allowed range is 1.02..1.20.
AIM = 1.10
#: AIM of the first run, and of each further run if LoadGen ended before min_duration: a machine
#: whose speed changes that much between two runs needs a wider margin.
AIMS = (AIM, 1.2, 1.5, 2.0)

#: The planned rate is at most this many times the probe's wall-clock rate. A run that is too short
#: is INVALID and lost; a run that is too long only costs time.
MOST_RECOVERED = 4.0


def expected_rate(busy: float, undisturbed: float) -> float:
    """Pairs/s to plan with, from the rates by wall clock and CPU time (equal on a quiet machine).

    A neighbour may slow the probe and be gone when LoadGen measures: the run must not be too short.
    """
    return min(max(busy, undisturbed), MOST_RECOVERED * busy)


@dataclass(frozen=True)
class Plan:
    """The planned query of the Offline run."""

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

    `order_lengths`: pairs of each sample in the order LoadGen issues them. LoadGen repeats that
    order as often as needed, so the pairs of the first n samples are known exactly.
    """
    ends = np.cumsum(order_lengths)
    per_round, wanted_pairs = int(ends[-1]), aim * min_duration_seconds * pairs_per_second
    rounds, rest = divmod(wanted_pairs, per_round)
    samples = int(rounds) * len(ends) + int(np.searchsorted(ends, rest)) + 1
    samples = max(samples, min_samples)
    full, part = divmod(samples, len(ends))
    pairs = full * per_round + (int(ends[part - 1]) if part else 0)
    seconds = pairs / pairs_per_second
    # In the middle between two counts, so that LoadGen's rounding gives exactly this count.
    target = (samples + 0.5) / (SLACK * min_duration_seconds)
    return Plan(samples, target, samples / seconds, seconds)


def repeat(batches: Sequence[Batch], enough: Callable[[int], bool]) -> Iterator[Batch]:
    """Repeat the batches, numbered from 0, until `enough(number)` is true."""
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

"""How high a rate a serving pool holds: a model of its queue, fitted to short real trials.

Queries' pairs are one stream, first come, first served, that all workers work off together: a query
waits for the pairs before its own (Lindley's recursion). What it takes beside that (a part's own
time, the hand-over, neighbours on the machine) is drawn from what trials took. A trial of some
hundred queries says little of its 99th percentile, but, held against the model of the same
arrivals, much of the speed; the model then runs as long as LoadGen will.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlrm_bench.query_set import Array

#: Speeds tried against a trial, as shares of what the workers do without a queue.
SPEEDS = np.linspace(0.4, 1.1, 141)
#: Runs of LoadGen's length that are modelled, and the share of them that must hold the bound.
RUNS, MOST_PASSING = 20, 0.9
#: Queries modelled at most, all runs together: a longer run is judged by its first part.
MOST_QUERIES = 2_000_000
#: Bisections of the rate, to a thousandth of the capacity.
STEPS = 10
#: LoadGen's early stopping: the p99 must hold with this confidence (early_stopping.cc).
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Trial:
    """What was asked and what it took; all [queries]."""

    arrivals: Array  # seconds, rising
    pairs: Array
    latencies: Array  # seconds


@dataclass(frozen=True)
class Server:
    """A pool as the model sees it."""

    pairs_per_second: float
    beside: Array  # seconds queries took beside the queue's, as trials had them


def queue_latencies(arrivals: Array, pairs: Array, pairs_per_second: float) -> Array:
    """Seconds from arrival to end of each query, first come, first served; last axis: queries."""
    ends = np.cumsum(pairs, axis=-1) / pairs_per_second
    before = ends - pairs / pairs_per_second
    # The busy period a query is in began with the query whose arrival the work had least caught up.
    began = np.maximum.accumulate(arrivals - before, axis=-1)
    return np.asarray(began + ends - arrivals)


def fit(trial: Trial, capacity: float) -> Server:
    """The server that explains a trial best; `capacity`: pairs/s of all workers, never waiting.

    Best: what is left of the latencies beside the queue's varies least (mean absolute deviation).
    """
    found: tuple[float, Server] | None = None
    for speed in SPEEDS * capacity:
        queued = queue_latencies(trial.arrivals, trial.pairs, float(speed))
        beside = trial.latencies - queued
        spread = float(np.abs(beside - np.median(beside)).mean())
        if found is None or spread < found[0]:
            found = spread, Server(float(speed), beside)
    assert found is not None
    return found[1]


def forgiven(queries: int, percentile: float = 0.99) -> int:
    """Late queries that LoadGen's early stopping allows among so many; -1: these are too few.

    The most of which a binomial of so many queries, each late with probability 1 - percentile, has
    no more with probability 1 - CONFIDENCE at most.
    """
    late = np.arange(queries)
    odds = np.log((queries - late) / (late + 1)) + np.log((1 - percentile) / percentile)
    logs = queries * np.log(percentile) + np.concatenate(([0.0], np.cumsum(odds)))
    return int(np.searchsorted(np.cumsum(np.exp(logs)), 1 - CONFIDENCE, side="right")) - 1


def highest_rate(
    server: Server, lengths: Array, queries: Callable[[float], int], bound: float
) -> float:
    """Queries/s at which MOST_PASSING of modelled runs hold the bound; 0 where none does.

    `lengths`: pairs of the samples, `queries`: how many a run at a rate has, `bound`: seconds that
    all but the forgiven may take.
    """
    capacity = server.pairs_per_second / float(np.mean(lengths))
    each = min(queries(capacity), MOST_QUERIES)
    runs = max(1, min(RUNS, MOST_QUERIES // each))
    # The same draws at every rate, so that more is never less late by chance. Not LoadGen's seeds.
    rng = np.random.default_rng(20_000)
    gaps = np.cumsum(rng.exponential(1.0, (runs, each)), axis=1)
    pairs = rng.choice(lengths, (runs, each)).astype(np.float64)
    beside = rng.choice(server.beside, (runs, each))

    def holds(rate: float) -> bool:
        count = min(queries(rate), each)
        queued = queue_latencies(gaps[:, :count] / rate, pairs[:, :count], server.pairs_per_second)
        late = (queued + beside[:, :count] > bound).sum(axis=1)
        return float((late <= forgiven(count)).mean()) >= MOST_PASSING

    low, high = 0.0, capacity
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

"""The highest rate that a serving pool holds, by a model of its queue fitted to short real trials.

The queries' pairs form one stream in the order of waiting_line.py. All workers share it: a query
waits for the pairs before its own (Lindley's recursion). The rest of its latency (a part's own
time, the hand-over, neighbours on the machine) is drawn from the trials. A trial of some hundred
queries says little about its 99th percentile. Compared with the model of the same arrivals, it says
much about the speed. The model then runs as long as LoadGen will.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dlrm_bench.network.arrays import Array
from dlrm_bench.serving.waiting_line import Pace

#: Speeds compared with a trial, as shares of the workers' speed without a queue.
SPEEDS = np.linspace(0.4, 1.1, 141)
#: Number of modelled runs of LoadGen's length, and the share of them that must hold the bound.
RUNS, MOST_PASSING = 10, 0.9
#: Most queries modelled, all runs together: a longer run is judged by its first part.
MOST_QUERIES = 400_000
#: Bisections of the rate, to 1/256 of the capacity.
STEPS = 8
#: Highest load: it leaves time to serve queries put back soon.
MOST_LOAD = 0.95
#: LoadGen's early stopping: the p99 must hold with this confidence (early_stopping.cc).
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Trial:
    """Queries of a trial and their latencies; all arrays are [queries]."""

    arrivals: Array  # seconds, rising
    pairs: Array
    latencies: Array  # seconds
    put_back: Array  # whether the query was put back

    def in_order(self) -> Trial:
        """The trial without the queries put back; unchanged if all were put back."""
        kept = ~self.put_back if not self.put_back.all() else self.put_back
        columns = self.arrivals, self.pairs, self.latencies, self.put_back
        return Trial(*(column[kept] for column in columns))


@dataclass(frozen=True)
class Server:
    """A pool as the model sees it."""

    pairs_per_second: float
    beside: Array  # seconds of latency beside the queue's, for some of the trial's queries

    def pace(self, bound: float) -> Pace:
        """The pace by which a waiting line predicts lateness; `bound`: latency bound in seconds."""
        return Pace(self.pairs_per_second, float(np.median(self.beside)), bound)


def queue_latencies(arrivals: Array, pairs: Array, pairs_per_second: float) -> Array:
    """Seconds from arrival to end of each query, first come, first served; last axis: queries."""
    ends = np.cumsum(pairs, axis=-1) / pairs_per_second
    before = ends - pairs / pairs_per_second
    # A busy period began with the query whose arrival, minus the work before it, is latest.
    began = np.maximum.accumulate(arrivals - before, axis=-1)
    return np.asarray(began + ends - arrivals)


def fit(trial: Trial, capacity: float) -> Server:
    """The server that explains a trial best; `capacity`: pairs/s of all workers, always busy.

    At the best speed, the difference between a query's latency and the queue's varies least (mean
    absolute deviation). `beside` is this difference for the third of the queries that queued
    longest, because only such queries may be late. A query that finds the workers idle, or at
    queries put back, is never near the bound.
    """
    found: tuple[float, Server] | None = None
    trial = trial.in_order()
    for speed in SPEEDS * capacity:
        queued = queue_latencies(trial.arrivals, trial.pairs, float(speed))
        beside = trial.latencies - queued
        spread = float(np.abs(beside - np.median(beside)).mean())
        if found is None or spread < found[0]:
            long = queued >= np.quantile(queued, 2 / 3)
            found = spread, Server(float(speed), beside[long])
    assert found is not None
    return found[1]


def forgiven(queries: int, percentile: float = 0.99) -> int:
    """Late queries that LoadGen's early stopping allows among `queries`; -1: too few queries.

    The largest n with P(late <= n) <= 1 - CONFIDENCE, where late is binomial: `queries` draws, each
    with probability 1 - percentile.
    """
    late = np.arange(queries)
    odds = np.log((queries - late) / (late + 1)) + np.log((1 - percentile) / percentile)
    logs = queries * np.log(percentile) + np.concatenate(([0.0], np.cumsum(odds)))
    return int(np.searchsorted(np.cumsum(np.exp(logs)), 1 - CONFIDENCE, side="right")) - 1


def late_queries(arrivals: Array, pairs: Array, beside: Array, pace: Pace) -> int:
    """Number of these queries that are late or put back; all arrays are [queries].

    Queries put back take no time here: they are served while nothing else waits.
    """
    patience, late = pace.bound - pace.beside, 0
    waiting: deque[tuple[float, float, float]] = deque()  # own seconds, arrival, beside
    ends, before = 0.0, 0.0  # end of the work begun; seconds of work waiting
    own = pairs / pace.pairs_per_second
    for query in zip(own.tolist(), arrivals.tolist(), beside.tolist(), strict=True):
        seconds, now, _ = query
        while waiting and ends <= now:
            taken, arrived, rest = waiting.popleft()
            ends = max(ends, arrived) + taken
            before -= taken
            late += ends - arrived + rest > pace.bound
        waiting.append(query)
        before += seconds
        while max(ends, now) + before - now > patience:
            longest = max(waiting)  # the newest of equals, as in the line
            waiting.remove(longest)
            before -= longest[0]
            late += 1
            if longest is query:
                break
    for taken, arrived, rest in waiting:
        ends = max(ends, arrived) + taken
        late += ends - arrived + rest > pace.bound
    return late


def highest_rate(
    server: Server, lengths: Array, queries: Callable[[float], int], bound: float
) -> float:
    """Highest queries/s at which MOST_PASSING of the modelled runs hold the bound; 0 if none does.

    `lengths`: pairs of each sample; `queries`: number of queries in a run at a rate; `bound`:
    seconds that all queries but the forgiven ones may take.
    """
    capacity, pace = server.pairs_per_second / float(np.mean(lengths)), server.pace(bound)
    each = min(queries(capacity), MOST_QUERIES)
    runs = max(1, min(RUNS, MOST_QUERIES // each))
    # The same draws at every rate: a higher rate never passes by chance. Not LoadGen's seeds.
    rng = np.random.default_rng(20_000)
    gaps = np.cumsum(rng.exponential(1.0, (runs, each)), axis=1)
    pairs = rng.choice(lengths, (runs, each)).astype(np.float64)
    beside = rng.choice(server.beside, (runs, each))

    def holds(rate: float) -> bool:
        count = min(queries(rate), each)
        allowed = forgiven(count)
        kept = sum(
            late_queries(gaps[run, :count] / rate, pairs[run, :count], beside[run, :count], pace)
            <= allowed
            for run in range(runs)
        )
        return kept >= MOST_PASSING * runs

    low, high = 0.0, MOST_LOAD * capacity
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

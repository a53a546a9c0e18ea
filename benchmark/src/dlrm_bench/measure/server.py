"""One Server run under LoadGen, and trials that find the rate for it.

LoadGen issues queries of one sample at the times of a Poisson process of rate target_qps; 99 of 100
must be answered within the bound. LoadGen's thread hands queries in, the serving thread answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import loadgen
from dlrm_bench.measure.offline import KEPT_PAIRS, KEPT_SAMPLES, OfflineRun
from dlrm_bench.serving.pool import ServingPool
from dlrm_bench.serving.queue_model import Trial
from dlrm_bench.serving.waiting_line import Pace, Query
from dlrm_bench.workers.evidence import Evidence

#: Fewest queries of a trial.
LEAST_QUERIES = 30
#: A trial ends early once more queries than HOPELESS and more than this share were put back.
HOPELESS, HOPELESS_SHARE = 4, 0.25
#: Fewest queries of a demo run: early stopping forgives two late ones among them.
DEMO_MIN_QUERIES = 1000
#: Shares of the found rate for the first run, and for each further run after missing the bound.
SHARES = (0.99, 0.97, 0.92, 0.8, 0.6)


class ServerRun(OfflineRun):
    """LoadGen's callbacks of a Server run, also of accuracy runs, whose latency does not count."""

    pool: ServingPool

    def __init__(
        self,
        ctx: StageContext,
        files: SampleFiles,
        pool: ServingPool,
        expected: int,
        most_pairs: int,
        pace: Pace | None = None,
        phase: str = "measuring",
    ) -> None:
        """`expected`: fewest queries the run will have; `most_pairs`: most pairs of a part.

        `pace`: predicts lateness; None: lateness does not count.
        """
        super().__init__(ctx, files, pool, phase)
        self._expected, self._most, self._pace = expected, most_pairs, pace
        self._keep: set[int] = set(
            default_rng().choice(expected, min(KEPT_SAMPLES, expected), replace=False).tolist()
        )
        self._kept_ids: set[int] = set()
        self._answered = 0

    def load(self, samples: list[int]) -> None:
        """Make LoadGen's set resident and begin to serve."""
        super().load(samples)
        self._evidence = Evidence(self.pool.cores, self.pool.pids)
        self._progress = Progress(self.ctx, self.phase, "samples")
        self.pool.serve(self._most, self._pace, self._answer, self.guarded)

    def unload(self, samples: list[int]) -> None:
        """Stop serving once every query is answered."""
        self.totals.append(self.pool.stop())
        faults = sum(totals.major_faults for totals in self.totals)
        self.evidence = self._evidence.facts(faults)
        super().unload(samples)

    def issue(self, response_ids: list[int], samples: list[int]) -> None:
        """Hand in the query; the serving thread answers it later."""
        for response_id, sample in zip(response_ids, samples, strict=True):
            query = make_query(self.query_set, response_id, sample)
            if self.samples_issued in self._keep:
                self._kept_ids.add(response_id)
            self.samples_issued += 1
            self.pairs_issued += query.pairs
            self.pool.submit(query)

    def _answer(self, query: Query) -> None:
        loadgen.complete([query.response_id], [query.results.ctypes.data], [query.results.nbytes])
        self._answered += 1
        if query.response_id in self._kept_ids:
            self.kept[query.sample] = query.results[:KEPT_PAIRS, 0].copy()
        self._evidence.sample()
        self._progress(self._answered, max(self._expected, self._answered))


def make_query(query_set: QuerySet | None, response_id: int, sample: int) -> Query:
    """A query with room for its answer."""
    assert query_set is not None
    offset, length = query_set.spans(np.asarray([sample]))[0]
    return Query(response_id, sample, int(offset), np.empty((length, 2), dtype=np.float32))


def try_rate(
    pool: ServingPool,
    query_set: QuerySet,
    samples: list[int],
    rate: float,
    seconds: float,
    most_pairs: int,
    pace: Pace,
    guarded: Callable[[Callable[[], None]], Callable[[], None]],
) -> Trial:
    """Serve these samples in turn at `rate` queries/s for `seconds`, at least LEAST_QUERIES.

    Arrivals form a Poisson process, as LoadGen's do, with a schedule of their own.
    """
    asked: list[Query] = []
    ended: dict[int, float] = {}

    def answered(query: Query) -> None:
        ended[query.response_id] = time.perf_counter()

    def hopeless() -> bool:
        return pool.line.put_back > max(HOPELESS, HOPELESS_SHARE * len(asked))

    rng = default_rng()
    pool.serve(most_pairs, pace, answered, guarded)
    due = began = time.perf_counter()
    while due - began < seconds or len(asked) < LEAST_QUERIES:
        time.sleep(max(0.0, due - time.perf_counter()))
        query = make_query(query_set, len(asked), samples[len(asked) % len(samples)])
        # The latency includes a late hand-in, as LoadGen's does.
        query.arrived = due
        asked.append(query)
        pool.submit(query)
        due += float(rng.exponential(1 / rate))
        if hopeless():
            break
    pool.stop()
    arrivals = np.asarray([query.arrived for query in asked])
    ends = np.asarray([ended[query.response_id] for query in asked])
    pairs = np.asarray([query.pairs for query in asked], dtype=np.float64)
    put_back = np.asarray([query.put_back for query in asked])
    return Trial(arrivals, pairs, ends - arrivals, put_back)


def facts(summary: str) -> dict[str, Any]:
    """What LoadGen's summary says of a Server run."""
    fields = loadgen.summary_fields(summary)
    return {
        "scheduled_samples_per_second": float(fields["Scheduled samples per second"]),
        "completed_samples_per_second": float(fields["Completed samples per second"]),
        "latency_p99_ms": float(fields["99.00 percentile latency (ns)"]) / 1e6,
        "latency_bound_ms": float(fields["target_latency (ns)"]) / 1e6,
    }

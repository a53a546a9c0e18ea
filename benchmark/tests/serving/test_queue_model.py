"""The queue model compared with queues computed query by query, and with LoadGen's own rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlrm_bench.serving.queue_model import (
    Server,
    Trial,
    fit,
    forgiven,
    highest_rate,
    late_queries,
    queue_latencies,
)
from dlrm_bench.serving.waiting_line import Pace, Query, WaitingLine

LENGTHS = np.asarray((*(100,) * 2, *(200,) * 12, *(300,) * 2, 400, 500, 600, 700))
BOUND = 0.060


def arrivals(rng: np.random.Generator, rate: float, queries: int) -> np.ndarray:
    return np.cumsum(rng.exponential(1 / rate, queries))


def test_a_query_waits_for_those_before_it_and_for_its_own_pairs() -> None:
    at = np.asarray([0.0, 0.1, 5.0, 5.0])
    pairs = np.asarray([100.0, 200.0, 100.0, 300.0])
    # 100 pairs a second: ends at 1, 3, 6, 9.
    assert queue_latencies(at, pairs, 100.0) == pytest.approx([1.0, 2.9, 1.0, 4.0])


@pytest.mark.parametrize("rate", [20.0, 90.0, 130.0])
def test_many_queries_as_worked_out_one_by_one(rate: float) -> None:
    rng = np.random.default_rng(5)
    at, pairs, speed = arrivals(rng, rate, 3000), rng.choice(LENGTHS, 3000), 32_000.0
    free, wanted = 0.0, []
    for arrived, length in zip(at, pairs, strict=True):
        free = max(free, arrived) + length / speed
        wanted.append(free - arrived)
    assert queue_latencies(at, pairs, speed) == pytest.approx(wanted)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("speed", [28_000.0, 20_000.0])
def test_the_fit_finds_the_speed_behind_a_trial(share: float, speed: float) -> None:
    rng = np.random.default_rng(7)
    at = arrivals(rng, share * speed / float(LENGTHS.mean()), 400)
    pairs = rng.choice(LENGTHS, 400).astype(np.float64)
    beside = 0.004 + rng.exponential(0.001, 400)
    latencies, none = queue_latencies(at, pairs, speed) + beside, np.zeros(400, dtype=bool)
    found = fit(Trial(at, pairs, latencies, none), 32_000.0)
    assert found.pairs_per_second == pytest.approx(speed, rel=0.03)
    assert float(np.median(found.beside)) == pytest.approx(float(np.median(beside)), abs=0.001)


@pytest.mark.parametrize("queries", [100, 459, 1000, 4000])
def test_forgiven_queries_are_those_of_the_binomial(queries: int) -> None:
    def at_most(late: int) -> float:
        each = (math.comb(queries, k) * 0.01**k * 0.99 ** (queries - k) for k in range(late + 1))
        return math.fsum(each)

    found = forgiven(queries)
    assert found < 0 or at_most(found) <= 0.01
    assert at_most(found + 1) > 0.01


def test_forgiven_queries_of_loadgens_least_counts() -> None:
    assert forgiven(458) == -1
    assert forgiven(459) == 0
    assert forgiven(1000) == 2
    # An official run's fewest queries forgive 1 % of them, less the margin for the confidence.
    assert 0.0095 * 270_336 < forgiven(270_336) < 0.0096 * 270_336


def test_what_was_put_back_tells_nothing_of_the_speed() -> None:
    rng = np.random.default_rng(7)
    at = arrivals(rng, 60.0, 400)
    pairs = rng.choice(LENGTHS, 400).astype(np.float64)
    back = rng.random(400) < 0.1
    latencies = np.full(400, 2.0)
    latencies[~back] = queue_latencies(at[~back], pairs[~back], 25_000.0) + 0.002
    found = fit(Trial(at, pairs, latencies, back), 32_000.0)
    assert found.pairs_per_second == pytest.approx(25_000.0, rel=0.01)
    # If all queries were put back, all of them are kept.
    assert len(Trial(at, pairs, latencies, np.ones(400, dtype=bool)).in_order().pairs) == 400


@pytest.mark.parametrize("gap", [220, 260, 300])
@pytest.mark.parametrize("seed", range(5))
def test_late_queries_are_those_of_a_line_worked_off_one_by_one(gap: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = np.cumsum(rng.integers(1, 2 * gap, 500)).astype(np.float64)
    pairs, beside = rng.choice(LENGTHS, 500), rng.integers(0, 100, 500).astype(np.float64)
    # One pair a second: all times are whole numbers.
    pace = Pace(1.0, 40.0, 1500.0)
    line, ends, late = WaitingLine(pace), 0.0, 0

    def serve(until: float) -> None:
        nonlocal ends, late
        while (query := line.oldest()) and ends <= until:
            ends = max(ends, query.arrived) + query.pairs
            late += ends - query.arrived + beside[query.response_id] > pace.bound
            # take() puts none back for being late: the model's machine is as fast as predicted.
            line.take(query.pairs, 0, query.arrived)

    for number, (now, length) in enumerate(zip(at, pairs, strict=True)):
        serve(now)
        query = Query(number, 0, 0, np.empty((length, 2), np.float32), now)
        line.add(query, int(max(ends - now, 0)), now)
    serve(math.inf)
    assert line.put_back > 0
    assert late_queries(at, pairs.astype(np.float64), beside, pace) == late + line.put_back


def test_the_highest_rate_holds_in_a_queue_of_its_own_and_a_higher_one_does_not() -> None:
    server, queries = Server(32_000.0, np.asarray([0.002, 0.004])), 20_000
    rate = highest_rate(server, LENGTHS, lambda _: queries, BOUND)

    def late(rate: float) -> int:
        rng = np.random.default_rng(11)
        at, pairs = arrivals(rng, rate, queries), rng.choice(LENGTHS, queries)
        return late_queries(at, pairs, np.full(queries, 0.003), server.pace(BOUND))

    assert late(0.97 * rate) <= forgiven(queries)
    assert late(1.06 * rate) > forgiven(queries)


def test_putting_back_holds_a_higher_rate_than_the_order_of_arrival() -> None:
    server, queries = Server(54_000.0, np.asarray([0.002])), 20_000
    rate = highest_rate(server, LENGTHS, lambda _: queries, BOUND)
    rng = np.random.default_rng(11)
    at, pairs = arrivals(rng, 0.97 * rate, queries), rng.choice(LENGTHS, queries)
    in_order = queue_latencies(at, pairs, server.pairs_per_second) + 0.002
    put_back = late_queries(at, pairs, np.full(queries, 0.002), server.pace(BOUND))
    assert put_back <= forgiven(queries) < 3 * forgiven(queries) < (in_order > BOUND).sum()


def test_more_cores_hold_a_higher_share_of_their_capacity() -> None:
    shares = []
    for cores in (2, 4, 32):
        server = Server(16_000.0 * cores, np.zeros(1))
        rate = highest_rate(server, LENGTHS, lambda _: 30_000, BOUND)
        shares.append(rate * float(LENGTHS.mean()) / server.pairs_per_second)
    assert shares == sorted(shares)
    assert 0.65 < shares[0] < 0.75
    # The highest load that the model tries.
    assert 0.94 < shares[2] <= 0.95


def test_no_rate_where_the_rest_alone_takes_longer_than_the_bound() -> None:
    assert highest_rate(Server(1e6, np.asarray([0.1])), LENGTHS, lambda _: 1000, BOUND) == 0

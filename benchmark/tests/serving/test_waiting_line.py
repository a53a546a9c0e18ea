"""The order of waiting queries, compared with every possible order, with arrivals in between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlrm_bench.serving.waiting_line import Pace, Query, WaitingLine

#: One pair a second, so that seconds are pairs.
SLOW = Pace(pairs_per_second=1.0, beside=0.0, bound=1000.0)


def query(pairs: int, arrived: float = 0.0, number: int = 0) -> Query:
    return Query(number, 0, 0, np.empty((pairs, 2), dtype=np.float32), arrived)


def line_of(lengths: list[int], pace: Pace | None, now: float = 0.0) -> WaitingLine:
    line = WaitingLine(pace)
    for number, pairs in enumerate(lengths):
        line.add(query(pairs, 0.0, number), 0, now)
    return line


def order(line: WaitingLine, most: int = 10_000, now: float = 0.0) -> list[list[tuple[int, int]]]:
    """Query and pairs of every part until the line is empty."""
    parts = []
    while line:
        parts.append([(query.response_id, n) for query, _, n in line.take(most, 0, now)])
    return parts


def test_first_come_first_served_in_bounded_parts() -> None:
    wanted = [[(0, 100), (1, 156)], [(1, 256)], [(1, 256)], [(1, 32), (2, 64)]]
    for pace in (None, SLOW):
        line = line_of([100, 700, 64], pace)
        assert line.pairs == 864
        assert order(line, 256) == wanted
        assert (line.pairs, line.put_back) == (0, 0)


def test_without_a_pace_nothing_is_put_back() -> None:
    line = line_of([700] * 5, None, now=1e6)
    assert [part[0][0] for part in order(line, 700, now=1e9)] == [0, 1, 2, 3, 4]


def test_the_longest_is_put_back_and_comes_last() -> None:
    line = line_of([200, 700, 200], SLOW)
    assert (line.pairs, line.pairs_put_back, line.put_back) == (400, 700, 1)
    assert order(line) == [[(0, 200), (2, 200)], [(1, 700)]]


def test_of_equals_the_newest_is_put_back() -> None:
    assert order(line_of([400, 400, 400], SLOW)) == [[(0, 400), (1, 400)], [(2, 400)]]


def test_those_put_back_are_served_oldest_first() -> None:
    line = line_of([900, 800, 700, 100], SLOW)
    assert order(line, 800) == [[(2, 700), (3, 100)], [(0, 800)], [(0, 100), (1, 700)], [(1, 100)]]


def test_what_is_begun_is_not_put_back() -> None:
    line = line_of([700], SLOW)
    line.take(100, 0, 0.0)
    line.add(query(500, 0.0, 1), 100, 0.0)
    # 100 pairs in work, 600 and 500 waiting: one query is late, and the longer one is begun.
    assert order(line) == [[(0, 600)], [(1, 500)]]


def test_what_is_in_work_and_beside_counts() -> None:
    assert line_of([400, 600], SLOW).put_back == 0
    line = WaitingLine(Pace(1.0, 1.0, 1000.0))
    line.add(query(400), 0, 0.0)
    line.add(query(600), 0, 0.0)
    assert line.put_back == 1
    line = WaitingLine(SLOW)
    line.add(query(400), 601, 0.0)
    assert line.put_back == 1


def test_a_head_that_work_slower_than_foretold_has_made_late_lets_the_others_pass() -> None:
    line = line_of([300], SLOW)
    line.add(query(300, 400.0, 1), 0, 400.0)
    assert line.put_back == 0
    assert order(line, now=800.0) == [[(1, 300)], [(0, 300)]]
    line = line_of([300], SLOW)
    assert line.take(1000, 0, 800.0) == []
    assert order(line, now=800.0) == [[(0, 300)]]


def fewest_late(lengths: list[int], arrivals: list[int], now: int) -> int:
    """Fewest late queries, over every set of queries that can be served in time."""
    for late in range(len(lengths) + 1):
        for kept in itertools.combinations(range(len(lengths)), len(lengths) - late):
            ends = now + np.cumsum([lengths[n] for n in kept])
            if all(end <= arrivals[n] + 1000 for end, n in zip(ends, kept, strict=True)):
                return late
    raise AssertionError


@pytest.mark.parametrize("seed", range(40))
def test_no_order_makes_fewer_of_those_waiting_late(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = (100 * rng.integers(1, 8, 8)).tolist()
    arrivals = np.sort(rng.integers(0, 900, 8)).tolist()
    line = WaitingLine(SLOW)
    for pairs, arrived in zip(lengths, arrivals, strict=True):
        line.add(query(pairs, arrived), 0, 900.0)
    assert line.put_back == fewest_late(lengths, arrivals, 900)


@pytest.mark.parametrize("seed", range(20))
def test_every_pair_is_handed_out_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked: list[Query] = []
    line, now = WaitingLine(SLOW), 0.0
    handed: dict[int, list[tuple[int, int]]] = {}
    while len(asked) < 60 or line:
        now += float(rng.exponential(250))
        if len(asked) < 60:
            asked.append(query(100 * int(rng.integers(1, 8)), now, len(asked)))
            line.add(asked[-1], int(rng.integers(0, 300)), now)
        for one, at, pairs in line.take(int(rng.integers(1, 500)), 0, now):
            handed.setdefault(one.response_id, []).append((at, pairs))
        waiting = sum(one.pairs - one.taken for one in asked)
        assert line.pairs + line.pairs_put_back == waiting
    assert line.put_back > 0
    assert line.put_back == sum(one.put_back for one in asked)
    for one in asked:
        ends = np.cumsum([0] + [pairs for _, pairs in handed[one.response_id]]).tolist()
        assert [at for at, _ in handed[one.response_id]] == ends[:-1]
        assert ends[-1] == one.pairs

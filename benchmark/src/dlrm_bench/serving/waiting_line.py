"""The order in which waiting queries are served: as they came, while all can be in time.

A query is late once it has waited longer than the latency bound. If not all waiting queries can be
in time, as few as possible shall be late: the longest query that no worker has begun is put back
behind all others, until the rest can be in time (J. M. Moore, Management Science 15 (1968), 102:
with deadlines in the order of arrival, no order makes fewer queries late). Queries put back are
served when nothing else waits, oldest first. No query is dropped. MLPerf's rules allow out-of-order
processing. Only queries that have arrived decide: by their waiting times and pairs.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from dlrm_bench.network.arrays import Array


@dataclass(eq=False)
class Query:
    """A query of one sample, and the parts of its answer that have come."""

    response_id: int
    sample: int
    offset: int  # first pair in the query set
    results: Array  # float32 [pairs, 2]: prediction, label
    arrived: float = field(default_factory=time.perf_counter)
    taken: int = 0  # pairs handed out
    done: int = 0  # pairs answered
    put_back: bool = False

    @property
    def pairs(self) -> int:
        """Pairs of the sample."""
        return len(self.results)


#: A part's content: for each query its first pair in this part and the number of pairs.
Cuts = list[tuple[Query, int, int]]


@dataclass(frozen=True)
class Pace:
    """Predicts when a query ends."""

    pairs_per_second: float  # of all workers together
    beside: float  # seconds that a query takes beside the pairs before it and its own
    bound: float  # seconds after its arrival at which a query becomes late

    def late(self, query: Query, pairs: int, now: float) -> bool:
        """Whether the query will be late if it ends after `pairs` more pairs from now."""
        return now + pairs / self.pairs_per_second + self.beside > query.arrived + self.bound


class WaitingLine:
    """The queries that wait."""

    def __init__(self, pace: Pace | None) -> None:
        """`pace` None: first come, first served, however late."""
        self.pace = pace
        #: Pairs waiting of queries that can be in time, and of those put back.
        self.pairs = self.pairs_put_back = 0
        #: Queries put back so far.
        self.put_back = 0
        self._in_time: deque[Query] = deque()
        self._last: deque[Query] = deque()

    def __bool__(self) -> bool:
        return bool(self._in_time or self._last)

    def oldest(self) -> Query | None:
        """The oldest query that can be in time; None if none can."""
        return self._in_time[0] if self._in_time else None

    def add(self, query: Query, in_work: int, now: float) -> None:
        """Add a query that has arrived; `in_work`: pairs handed out and not answered."""
        self._in_time.append(query)
        self.pairs += query.pairs
        # Queries end in the order of arrival: if the newest can be in time, all can.
        while self.pace and not query.put_back and self.pace.late(query, in_work + self.pairs, now):
            self._put_back(self._longest())

    def take(self, most: int, in_work: int, now: float) -> Cuts:
        """Take up to `most` of the next pairs.

        The first query is put back if it cannot be in time any more because work took longer than
        predicted, so the part may be empty. Queries put back share no part with others.
        """
        line = self._in_time or self._last
        cuts: Cuts = []
        left = most
        while line and left:
            query = line[0]
            ahead = in_work + most - left
            if (
                self.pace
                and not (query.put_back or query.taken)
                and self.pace.late(query, ahead + query.pairs, now)
            ):
                self._put_back(query)
                continue
            pairs = min(query.pairs - query.taken, left)
            cuts.append((query, query.taken, pairs))
            query.taken += pairs
            left -= pairs
            if query.taken == query.pairs:
                line.popleft()
        if line is self._last:
            self.pairs_put_back -= most - left
        else:
            self.pairs -= most - left
        return cuts

    def _longest(self) -> Query:
        """The longest query not begun, the newest of equals; the last to arrive is never begun."""
        waiting = [query for query in self._in_time if not query.taken]
        return max(reversed(waiting), key=lambda query: query.pairs)

    def _put_back(self, query: Query) -> None:
        query.put_back = True
        self._in_time.remove(query)
        self._last.append(query)
        self.pairs -= query.pairs
        self.pairs_put_back += query.pairs
        self.put_back += 1

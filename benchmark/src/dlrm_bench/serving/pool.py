"""The worker pool as a server: queries come one by one, free workers take their pairs.

Waiting queries form one stream of pairs in the order of waiting_line.py, cut into parts of bounded
size. So several workers share the longest sample, and no query waits behind it. While no worker is
idle, a part that is not full waits for at most MAX_WAIT_SECONDS. Every query is computed, and no
earlier result is used again.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from dlrm_bench.network.arrays import Array
from dlrm_bench.serving.waiting_line import Cuts, Pace, Query, WaitingLine
from dlrm_bench.workers.pool import Batch, Handle, RunTotals, WorkerPool
from dlrm_bench.workers.process import BATCHES_IN_FLIGHT, Done

#: A part may take a worker this long, a fifth of the latency bound: a query may wait behind it.
PART_SECONDS = 0.012
#: Limits of a part's size in pairs. Not smaller: engines pad to 64, and each part costs as much as
#: some three pairs. Not larger: a query is answered when all parts with its pairs have ended.
LEAST_PART, MOST_PART = 64, 128
#: Longest time that a part waits to fill while every worker is busy.
MAX_WAIT_SECONDS = 0.002


def part_pairs(pairs_per_second: float, best_batch: int) -> int:
    """Most pairs of a part for a worker of this speed, whose engine takes `best_batch` at once."""
    most = max(min(MOST_PART, best_batch), LEAST_PART)
    return most if pairs_per_second * PART_SECONDS >= most else LEAST_PART


def even_part(pairs: int, workers: int, held: int, most: int) -> int:
    """Pairs of a worker's next part, so that all workers end at about the same time.

    `pairs`: waiting and in work, of all workers; `held`: in work at this one; `most`: of a part.
    """
    share = max(-(-pairs // workers) - held, 1)
    parts = -(-share // most)
    return min(max(-(-share // parts), LEAST_PART), most)


class ServingPool(WorkerPool):
    """A pool that serves on a thread of its own between serve() and stop()."""

    #: LoadGen's thread and the serving thread share the workers' cores. They must not wait for a
    #: worker's time slice to end: that takes several milliseconds at each step of a query.
    niceness = 10

    def serve(
        self,
        most_pairs: int,
        pace: Pace | None,
        answered: Callable[[Query], None],
        guarded: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        """Begin to serve; `answered` is called on the serving thread, `guarded` wraps that thread.

        `most_pairs`: of a part (part_pairs()); `pace`: None if lateness does not count.
        """
        self._most, self._answered = most_pairs, answered
        self.line = WaitingLine(pace)
        self._arrivals: deque[Query] = deque()
        self._parts: dict[int, Cuts] = {}
        self._stopping, self._number = False, 0
        #: Pairs handed out and not answered; those of them in parts that workers compute now.
        self._pairs_in_work = self._pairs_begun = 0
        self._serving_totals = RunTotals([[] for _ in self._handles])
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(
            self._wake, selectors.EVENT_READ, lambda: os.eventfd_read(self._wake)
        )
        self._thread = threading.Thread(target=guarded(self._serve), name="serving")
        self._thread.start()

    def submit(self, query: Query) -> None:
        """Hand in a query; from any thread, returns at once."""
        self._arrivals.append(query)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> RunTotals:
        """End serving once every query handed in is answered."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._selector.unregister(self._wake)
        os.close(self._wake)
        return self._serving_totals

    def _serve(self) -> None:
        began = time.perf_counter()
        while True:
            # Read before the queues: a query that comes later ends the next wait.
            stopping = self._stopping
            self._hand_out()
            if stopping and not (self._arrivals or self.line or self._parts):
                break
            for handle, message in self._messages("serving", self._patience()):
                _, number, *told = message
                figures = Done(*told)
                _, slot = handle.held.pop(number)
                results = self._results[handle.index * BATCHES_IN_FLIGHT + slot]
                # Copied before the slot is free: the worker's next part overwrites it at once.
                complete = _take(self._parts.pop(number), results)
                self._pairs_in_work -= figures.pairs
                self._pairs_begun += _pairs_of_first(handle) - figures.pairs
                handle.slots.append(slot)
                self._serving_totals.done[handle.index].append(figures)
                # Give the worker its next part first: answering is slower.
                self._hand_out()
                for query in complete:
                    self._answered(query)
        self._serving_totals.seconds = time.perf_counter() - began

    def _hand_out(self) -> None:
        now = time.perf_counter()
        while self._arrivals:
            self.line.add(self._arrivals.popleft(), self._pairs_left(), now)
        while self.line:
            handle = min(self._handles, key=lambda h: len(h.held))
            if not handle.slots or self._patience() is not None:
                return
            in_time = self.line.oldest() is not None
            if handle.held and not in_time:
                return  # Queries put back must delay no other: only idle workers take them.
            held = sum(batch.pairs for batch, _ in handle.held.values())
            waiting = self.line.pairs if in_time else self.line.pairs_put_back
            pairs = waiting + self._pairs_in_work
            size = even_part(pairs, len(self._handles), held, self._most)
            part = self.line.take(size, self._pairs_left(), now)
            if not part:
                continue
            spans = np.array([(q.offset + at, n) for q, at, n in part], dtype=np.int64)
            batch = Batch(self._number, self._number, spans, sum(n for _, _, n in part))
            self._pairs_in_work += batch.pairs
            if not handle.held:
                self._pairs_begun += batch.pairs
            self._parts[self._number] = part
            self._give(handle, batch)
            self._number += 1

    def _pairs_left(self) -> int:
        """Pairs in work that are not done; half of each part being computed counts as done."""
        return self._pairs_in_work - self._pairs_begun // 2

    def _patience(self) -> float | None:
        """Seconds until a part goes out although it is not full; None: no reason to wait."""
        oldest = self.line.oldest()
        if oldest is None or self.line.pairs >= self._most:
            return None
        if any(not handle.held for handle in self._handles):
            return None  # A worker is idle.
        if all(not handle.slots for handle in self._handles):
            return None  # No worker can take a part before the next answer.
        left = oldest.arrived + MAX_WAIT_SECONDS - time.perf_counter()
        return left if left > 0 else None


def _pairs_of_first(handle: Handle) -> int:
    """Pairs of the part that a worker computes now."""
    return next((batch.pairs for batch, _ in handle.held.values()), 0)


def _take(part: Cuts, results: Array) -> list[Query]:
    """Copy a part's answers to its queries; returns the queries that are complete now."""
    at, complete = 0, []
    for query, first, pairs in part:
        query.results[first : first + pairs] = results[at : at + pairs]
        at += pairs
        query.done += pairs
        if query.done == query.pairs:
            complete.append(query)
    return complete

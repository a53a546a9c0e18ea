"""Repeats calls, with exponential waits and full jitter, within a limit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import CloudError

T = TypeVar("T")
U = TypeVar("U")


@dataclass
class Pace:
    """In seconds. `limit`: how long a call is repeated. `patience`: how long a state may take."""

    base: float = 1.0
    cap: float = 30.0
    limit: float = 300.0
    poll: float = 5.0
    patience: float = 900.0
    workers: int = 32
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def until(self) -> float:
        return self.clock() + self.patience


def call(pace: Pace, function: Callable[[], T], least_attempts: int = 5) -> T:
    """Repeat while the refusal is transient, until both the limit and the attempts are used up.

    Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    deadline = pace.clock() + pace.limit
    attempt = 0
    while True:
        try:
            return function()
        except CloudError as error:
            attempt += 1
            over = pace.clock() >= deadline and attempt >= least_attempts
            if not error.transient or over:
                raise
            # Jitter needs no secure random numbers.
            pace.sleep(random.uniform(0, min(pace.cap, pace.base * 2 ** min(attempt, 16))))


def parallel(
    pace: Pace,
    function: Callable[[T], U],
    items: Sequence[T],
    stop: threading.Event | None = None,
) -> list[Any]:
    """The result of each item, in order; an item that failed has its error as its result.

    With `stop`, no item begins after a failure; the result of such an item is None.
    """

    def one(item: T) -> Any:
        if stop is not None and stop.is_set():
            return None
        try:
            return function(item)
        except Exception as error:
            if stop is not None:
                stop.set()
            return error

    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(pace.workers, len(items))) as pool:
        return list(pool.map(one, items))

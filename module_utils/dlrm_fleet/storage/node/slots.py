"""On the storage node: as many hosts as were allowed are served at once, the others wait.

A task's throttle does not do it: hosts that come at different times each have a task of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...base.errors import disk_error
from ...base.locks import exclusive_lock

LOOK_SECONDS = 0.5


@contextmanager
def place(root: Path, places: int) -> Iterator[None]:
    """One of `places`, as soon as one is free. The kernel frees that of a process that dies."""
    folder = root / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(f"cannot wait for a transfer in {str(folder)!r}", error) from None
    while True:
        for number in range(max(1, places)):
            with ExitStack() as held:
                lock = exclusive_lock(folder / f".place.{number}.lock", wait=False)
                try:
                    held.enter_context(lock)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(LOOK_SECONDS)

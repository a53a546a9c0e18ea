"""On the storage node: a limited number of hosts is served at once, the others wait.

A task's throttle is not enough: hosts that come at different times run tasks of their own.
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
    """Hold one of `places` slots, once one is free. The kernel frees a dead process's slot."""
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

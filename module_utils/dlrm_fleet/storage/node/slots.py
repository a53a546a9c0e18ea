"""On the storage node: as many hosts as were allowed are served at once, the others wait.

A task's throttle does not do it: hosts that come at different times each have a task of their own.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...base.errors import disk_error

LOOK_SECONDS = 0.5


@contextmanager
def place(root: Path, places: int) -> Iterator[None]:
    """One of `places`, as soon as one is free. The kernel frees that of a process that dies."""
    folder = root / "incoming"
    while True:
        for number in range(max(1, places)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                handle = (folder / f".place.{number}.lock").open("w")
            except OSError as error:
                raise disk_error(f"cannot wait for a transfer in {str(folder)!r}", error) from None
            with handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(LOOK_SECONDS)

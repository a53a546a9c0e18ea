"""The one lock between processes: flock(2). The kernel frees the lock of a process that dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import disk_error
from .opening import FOLDER, open_regular


@contextmanager
def exclusive_lock(
    path: Path, wait: bool = True, inherit: bool = False, mode: int = 0o666
) -> Iterator[None]:
    """Hold `path` alone: a folder that exists, else a file, made with `mode` and never truncated.

    `inherit`: programs started meanwhile hold it as well, also when this process is killed.
    Raises DiskError when `path` cannot be opened, or is a link to a file, a pipe or a device;
    BlockingIOError when another process holds it and `wait` is False.
    """
    while True:
        try:
            descriptor = _opened(path, mode)
        except OSError as error:
            raise disk_error(f"cannot lock {str(path)!r}", error) from None
        try:
            os.set_inheritable(descriptor, inherit)
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_open_at(descriptor, path):
                yield
                return
        finally:
            # Closing is not enough: another thread's program may have inherited the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _opened(path: Path, mode: int) -> int:
    if path.is_dir():
        return os.open(path, FOLDER)
    try:
        return open_regular(path, os.O_RDWR | os.O_CREAT, mode)
    except PermissionError:
        # Root made it and was killed before it gave it away. Reading is enough to lock.
        return open_regular(path)


def _is_open_at(descriptor: int, path: Path) -> bool:
    """False: whoever held the lock renamed or removed the file meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

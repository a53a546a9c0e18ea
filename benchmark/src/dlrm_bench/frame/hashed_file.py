"""Files that are hashed while they are written, and synced."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

BLOCK_BYTES = 4 << 20


#: Below this size, handing a block to a thread costs more than it saves.
HASH_APART_BYTES = 256 << 10


#: After this many bytes the kernel is told to begin writing, so that the final sync is short.
WRITE_BEHIND_BYTES = 32 << 20


_SYNC_FILE_RANGE_WRITE = 2


_LIBC = ctypes.CDLL(None)


class HashedFile:
    """A sequential binary file that knows its length and sha256 while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(1)
        self.bytes = self._begun = 0

    def write(self, data: Any) -> int:
        """Append bytes or any contiguous buffer; returns the number of bytes."""
        view = memoryview(data).cast("B")
        if view.nbytes < HASH_APART_BYTES:
            self._file.write(view)
            self._sha256.update(view)
        else:
            # Both release the interpreter's lock: together they take as long as hashing alone.
            hashing = self._hasher.submit(self._sha256.update, view)
            try:
                self._file.write(view)
            finally:
                hashing.result()  # The caller may reuse the buffer.
        self.bytes += view.nbytes
        if self.bytes - self._begun >= WRITE_BEHIND_BYTES:
            self._begin_writing()
        return view.nbytes

    def _begin_writing(self) -> None:
        """Start writing to disk without waiting; only the sync before the rename guarantees it."""
        start, size = self._begun, self.bytes - self._begun
        _LIBC.sync_file_range(
            self._file.fileno(),
            ctypes.c_int64(start),
            ctypes.c_int64(size),
            _SYNC_FILE_RANGE_WRITE,
        )
        self._begun = self.bytes

    def flush(self) -> None:
        """As flush() of a file."""
        self._file.flush()

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def hexdigest(self) -> str:
        """sha256 of what was written."""
        return self._sha256.hexdigest()


def hash_file(path: Path, read: Callable[[int], None]) -> tuple[str, str]:
    """md5 and sha256 of a file, side by side; `read` gets byte counts."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as other:
        while block := file.read(BLOCK_BYTES):
            hashing = other.submit(sha256.update, block)
            md5.update(block)
            hashing.result()
            read(len(block))
    return md5.hexdigest(), sha256.hexdigest()


def fsync_directory(path: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The sha256 of a file while rsync still writes it: no second pass afterwards."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from types import TracebackType

from ..base.documents import CHUNK_BYTES, sha256_file
from ..base.errors import FleetError

WAIT_SECONDS = 0.02
# The disk starts writing early; the flush before a file gets its name then has little left to do.
FLUSH_BYTES = 256 * 1024**2


class ArrivingFile:
    """Reads behind a writer that appends; a context manager around the writer's command.

    `path` exists already. What it holds at the start is read as well: a transfer may go on from it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._ended = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> ArrivingFile:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def sha256(self, promised: str) -> str:
        """After the writer's end: of the whole file. Raises FleetError when it cannot be read."""
        if self._error is not None:
            why = self._error.strerror or str(self._error)
            raise FleetError(f"cannot hash {str(self._path)!r}", why)
        found = self._digest.hexdigest()
        # rsync corrects in place what its own checksum finds wrong: look at what lies there now.
        return found if found == promised else sha256_file(self._path)

    def _follow(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                self._read_to_end(file.fileno())
        except OSError as error:
            self._error = error

    def _read_to_end(self, descriptor: int) -> None:
        unflushed = 0
        while True:
            # Asked before the read: what was written before the end is then read, too.
            ended = self._ended.is_set()
            block = os.read(descriptor, CHUNK_BYTES)
            self._digest.update(block)
            unflushed += len(block)
            if unflushed >= FLUSH_BYTES:
                os.fdatasync(descriptor)
                unflushed = 0
            if not block:
                if ended:
                    return
                self._ended.wait(WAIT_SECONDS)

"""Hash a file while rsync writes it, so that it need not be read again."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from types import TracebackType

from ..base.documents import CHUNK_BYTES, sha256_file
from ..base.errors import FleetError

WAIT_SECONDS = 0.02
# Flush this often: the flush before a file gets its name then has little left to do.
FLUSH_BYTES = 256 * 1024**2


class ArrivingFile:
    """Reads behind a writer that appends; a context manager around the writer's command.

    `path` exists already. Its content at the start is hashed, too: a transfer may continue it.
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
        """Of the whole file, after the writer has ended. Raises FleetError if it cannot be read."""
        if self._error is not None:
            why = self._error.strerror or str(self._error)
            raise FleetError(f"cannot hash {str(self._path)!r}", why)
        found = self._digest.hexdigest()
        # rsync may have corrected the file in place after it was hashed: read it again.
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
            # Checked before the read, so that everything written before the end is read.
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

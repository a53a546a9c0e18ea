"""The log of one command on the controller: all that Ansible says, escaped and without secrets."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ..base.errors import disk_error
from ..base.wording import printable
from .redact import redact

# The newest logs that a folder keeps.
KEPT = 100
MOST_OF_A_SECOND = 100
LOG = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_.-]{1,100}\.log")
# Colours that Ansible prints, and whatever else is not plain ASCII, which `printable` judges.
COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
SPECIAL = re.compile(r"[^\x20-\x7e\n\t]+")


class OutputLog:
    """TIME-PLAYBOOK.log, readable by its user alone. A log that cannot be written fails nothing.

    Attributes:
        path: the file; None if there is none.
        why: why there is none, or why it ends early; empty while all is written.
    """

    def __init__(self, folder: Path, playbook: str, now: datetime) -> None:
        self.path: Path | None = None
        self.why = ""
        self._file: int | None = None
        name = f"{now:%Y%m%dT%H%M%SZ}-{re.sub('[^A-Za-z0-9_.-]', '_', playbook)[:80]}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._create(folder, name)
        except OSError as error:
            self.why = str(disk_error(f"There is no log: cannot write into {folder}", error))
        else:
            _remove_old(folder)

    def _create(self, folder: Path, name: str) -> None:
        """Two commands that begin in the same second get two files."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        for number in range(1, MOST_OF_A_SECOND + 1):
            path = folder / (f"{name}.log" if number == 1 else f"{name}-{number}.log")
            try:
                self._file = os.open(path, flags, 0o600)
            except FileExistsError:
                if number == MOST_OF_A_SECOND:
                    raise
            else:
                self.path = path
                return

    def write(self, text: str) -> None:
        """Append the text and a line end. Each text is on the disk before the next is said."""
        if self._file is None:
            return
        plain = SPECIAL.sub(lambda match: printable(match[0]), COLOUR.sub("", text))
        left = f"{redact(plain)}\n".encode("utf-8", "replace")
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self._close()
            self.why = str(disk_error(f"The log {self.path} ends early", error))

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _remove_old(folder: Path) -> None:
    """Names begin with the time, so the oldest come first."""
    with suppress(OSError):
        logs = sorted(path.name for path in folder.iterdir() if LOG.fullmatch(path.name))
        for name in logs[:-KEPT]:
            with suppress(OSError):
                (folder / name).unlink()

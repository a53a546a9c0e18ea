"""Errors in one shape: what failed on which object, why, what to do next."""

from __future__ import annotations

import errno

DISK_REMEDIES = {
    errno.ENOSPC: "Free space on that file system, then run again",
    errno.EDQUOT: "Free space or raise the user's quota, then run again",
    errno.EROFS: "Mount that file system writable, then run again",
    errno.EACCES: "Make its user the owner of that folder, then run again",
    errno.EPERM: "Make its user the owner of that folder, then run again",
    errno.EIO: "The disk reports errors: look at the host's kernel log",
}


class FleetError(Exception):
    """What failed on which object, why (wanted, found, units), what to do next."""

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        self.what = what
        self.why = why
        self.todo = todo
        super().__init__(str(self))

    def __str__(self) -> str:
        first = f"{self.what}: {self.why}" if self.why else self.what
        return " ".join(_sentence(part) for part in (first, self.todo) if part)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else text + "."


class DiskError(FleetError):
    """A disk that is full, read-only or broken."""


def disk_error(what: str, error: OSError) -> DiskError:
    """A DiskError with the system's reason and, where one is known, a remedy."""
    return DiskError(what, error.strerror or str(error), DISK_REMEDIES.get(error.errno or 0, ""))

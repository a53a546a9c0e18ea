"""Room on a disk, asked for before it is filled."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import FleetError

# Bytes that stay free.
SPARE_BYTES = 256 * 1024**2


def refuse_full(folder: Path, size: int, what: str, whose: str, setting: str) -> None:
    """FleetError unless `size` bytes and the spare ones are free to users where `folder` lies.

    `what`: "cannot fetch ..."; `whose`: "the host's"; `setting`: the variable that names `folder`.
    """
    stat = os.statvfs(folder)
    free, needed = stat.f_bavail * stat.f_frsize, size + SPARE_BYTES
    if free < needed:
        raise FleetError(
            what,
            f"{whose} disk needs {needed / 1024**3:.2f} GiB free, found {free / 1024**3:.2f} GiB",
            f"Free some, or set {setting} to a larger disk",
        )

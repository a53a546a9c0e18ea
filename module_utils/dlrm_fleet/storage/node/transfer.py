"""rsync on the storage node: a host that sends nearly nothing, or without end, is left."""

from __future__ import annotations

import os
from pathlib import Path

from ...base.commands import run_while_growing

# A host that brings less in this time is left; the next transfer goes on where this one ended.
LEAST_BYTES = 1024**2
LEAST_SECONDS = 300.0


def run_transfer(command: list[str]) -> tuple[int, str, str]:
    """Runs what rsync.copy_command and copy_many_command return: the last word is the target."""
    target = Path(command[-1])
    return run_while_growing(command, lambda: _size(target), LEAST_SECONDS, LEAST_BYTES)


def _size(target: Path) -> int:
    """Bytes of a file, or of all files below a folder. What vanishes meanwhile counts nothing."""
    if not target.is_dir():
        return _length(target)
    return sum(
        _length(Path(folder) / name)
        for folder, _folders, names in os.walk(target)
        for name in names
    )


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0

"""rsync on the storage node: a host that sends or takes nearly nothing, or no end, is left."""

from __future__ import annotations

import os
from pathlib import Path

from ...base.commands import run_while_growing

# A host that brings or takes less in this time is left; the next transfer goes on where this one
# ended.
LEAST_BYTES = 1024**2
LEAST_SECONDS = 300.0


def run_transfer(command: list[str]) -> tuple[int, str, str]:
    """Runs what rsync.copy_command and copy_many_command return: the last word is the target."""
    target = Path(command[-1])
    return run_while_growing(command, lambda _pid: _size(target), LEAST_SECONDS, LEAST_BYTES)


def run_push(command: list[str]) -> tuple[int, str, str]:
    """Runs what rsync.push_command returns, while the host takes what rsync writes."""
    return run_while_growing(command, _written, LEAST_SECONDS, LEAST_BYTES)


def _written(pid: int) -> int:
    """Bytes that this process has written to files, pipes and sockets (proc_pid_io(5), wchar).

    What a host has not taken fills a few MiB of buffers; then rsync writes no more.
    """
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), 0)


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

"""Checks that a file can be read before a reader opens it, so that all refuse in the same words."""

from __future__ import annotations

from pathlib import Path

from dlrm_bench.frame.errors import StageError


def unreadable(path: Path) -> str:
    """Why the file cannot be read (absent, a folder, not permitted); empty if it can."""
    try:
        if path.is_dir():
            return "it is a folder, wanted a file"
        if not path.exists():
            return "it is not there, wanted a file"
        if not path.is_file():
            return "it is neither file nor folder, wanted a file"
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"it may not be read ({error.strerror})"


def require_file(path: Path, remedy: str) -> None:
    """StageError unless the file can be read; a missing permission has a remedy of its own."""
    why = unreadable(path)
    if why:
        if "may not be read" in why:
            remedy = "Let the user who owns the host's dlrm root read it (chmod, chown)"
        raise StageError(f"'{path}' cannot be read", why, remedy)

"""Can a file be read at all? Asked before any reader opens it, so that each says it alike."""

from __future__ import annotations

from pathlib import Path

from dlrm_bench.frame.errors import StageError


def unreadable(path: Path) -> str:
    """Empty, or why this is no file that can be read: absent, a folder, or not permitted."""
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
    """Refuse what is no readable file; a permission's remedy is the same for all of them."""
    why = unreadable(path)
    if why:
        if "may not be read" in why:
            remedy = "Let the user who owns the host's dlrm root read it (chmod, chown)"
        raise StageError(f"'{path}' cannot be read", why, remedy)

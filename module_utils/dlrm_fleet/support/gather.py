"""Reads what goes into a support bundle: bounded, never followed, never awaited."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ..base.wording import printable
from .redact import redact

# A bundle is sent by mail, so it holds only the newest files of each kind, and their ends.
NEWEST_FILES = 40
FILE_BYTES = 64 * 1024
# Read before the end is cut off: half a secret is not recognised.
READ_BYTES = 1024**2
# A folder with more files than this was filled by nothing of ours.
MOST_FOUND = 10_000


def gather(root: Path, patterns: Iterable[str], below: str) -> dict[str, str]:
    """name in the bundle -> redacted end of the file; newest files of each pattern."""
    found: dict[str, str] = {}
    for pattern in patterns:
        newest = sorted(islice(_matching(root, pattern), MOST_FOUND), key=lambda one: one[0])
        for _modified, name in newest[-NEWEST_FILES:]:
            found[f"{below}/{printable(name)}"] = read_end(root / name, root)
    return found


def _matching(root: Path, pattern: str) -> Iterator[tuple[float, str]]:
    """(time, path below root) of regular files."""
    with suppress(OSError):
        for path in root.glob(pattern):
            with suppress(OSError):
                seen = path.lstat()
                if stat.S_ISREG(seen.st_mode):
                    yield seen.st_mtime, path.relative_to(root).as_posix()


def read_end(path: Path, root: Path | None = None) -> str:
    """The redacted end of a file, or why it cannot be read. No link below `root` is followed."""
    base = path.parent if root is None else root
    try:
        content = _read(base, path.relative_to(base).parts)
    except OSError as error:
        return f"[cannot be read: {error.strerror or error}]\n"
    return end_of(redact(content.decode("utf-8", "replace")))


def _read(base: Path, parts: tuple[str, ...]) -> bytes:
    """The last READ_BYTES of a regular file, reached from folder to folder."""
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(parts[-1], flags, dir_fd=folder)
        try:
            seen = os.fstat(file)
            if not stat.S_ISREG(seen.st_mode):
                raise OSError("it is no regular file")
            os.lseek(file, max(0, seen.st_size - READ_BYTES), os.SEEK_SET)
            return os.read(file, READ_BYTES)
        finally:
            os.close(file)
    finally:
        os.close(folder)


def end_of(text: str) -> str:
    if len(text) <= FILE_BYTES:
        return text
    kept = text[-FILE_BYTES:]
    return f"[{len(text) - len(kept)} characters before this are left out]\n{kept}"

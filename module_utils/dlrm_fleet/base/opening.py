"""Opens what another user may have planted: no link is followed, no pipe's other end awaited."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class NotRegular(OSError):
    """What lies at the path is a link, a pipe, a folder or a device."""


def open_regular(
    path: str | os.PathLike[str],
    flags: int = os.O_RDONLY,
    mode: int = 0o666,
    follow: bool = False,
    folder: int | None = None,
) -> int:
    """A descriptor of a regular file. Raises OSError; NotRegular for what is none.

    `follow`: a link at the path is followed, but still to a regular file only. `folder`: a
    descriptor of the folder that a relative path starts from.
    """
    nofollow = 0 if follow else os.O_NOFOLLOW
    try:
        flags |= nofollow | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, mode, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and nofollow:
            raise _not_regular("it is a link, a regular file is wanted", path) from None
        # A socket, or a pipe that nobody reads.
        if error.errno == errno.ENXIO:
            raise _not_regular("it is no regular file", path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular("it is no regular file", path)
    return descriptor


def _not_regular(why: str, path: str | os.PathLike[str]) -> NotRegular:
    return NotRegular(errno.EINVAL, why, os.fspath(path))


def read_regular(path: str | os.PathLike[str], most_bytes: int, follow: bool = False) -> bytes:
    """The content of a regular file. Raises OSError, also if it has more than `most_bytes`."""
    with os.fdopen(open_regular(path, follow=follow), "rb") as handle:
        # What grows while it is read is bounded as well.
        content = handle.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", os.fspath(path))
    return content


def open_folder(path: Path) -> int:
    """A descriptor of the folder at an absolute path. Raises OSError.

    As root, a link is followed only in a folder that root alone can write to.
    """
    if os.geteuid() != 0:
        return os.open(path, FOLDER)
    here = os.open("/", FOLDER)
    for part in path.parts[1:]:
        parent = here
        try:
            here = os.open(part, FOLDER | _nofollow(parent), dir_fd=parent)
        finally:
            os.close(parent)
    return here


def _nofollow(folder: int) -> int:
    found = os.fstat(folder)
    is_roots = found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return 0 if is_roots else os.O_NOFOLLOW

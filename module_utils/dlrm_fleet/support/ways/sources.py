"""Whether a user's source can be read: the first bytes of its files, and their size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ...base.as_owner import as_user
from ...base.errors import FleetError
from ...base.wording import number
from .fetching import Through, first_bytes, host_of, is_page

# Of a folder with many files, so many are opened.
MOST_FILES = 1000
# Of a list of URLs, so many are asked.
MOST_URLS = 8
FIRST_BYTES = 512


def readable_folder(folder: Path, uid: int, gid: int) -> int:
    """The size of its files, each opened as the containers' user."""
    return int(as_user(uid, gid, lambda: {"size": _look(folder, uid)})["size"])


def _look(folder: Path, uid: int) -> int:
    what = f"cannot read {str(folder)!r}"
    try:
        # rglob passes over a folder that it may not enter.
        next(folder.iterdir(), None)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(_opened(path) for path in files[:MOST_FILES])
    except (FileNotFoundError, NotADirectoryError):
        raise FleetError(what, "there is no such folder on this host", _correct(folder)) from None
    except OSError as error:
        why = f"user {uid} cannot read {str(error.filename)!r}: {error.strerror}"
        todo = f"Let user {uid} read it, and enter all folders above it"
        raise FleetError(what, why, todo) from None
    if not files:
        raise FleetError(what, "there is no file in it", _correct(folder))
    return size


def _correct(folder: Path) -> str:
    return f"Put the files there, or correct the path {str(folder)!r}"


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:
            raise FleetError(f"cannot read {str(path)!r}", f"{path.name} is empty", "Fetch it anew")
        os.read(descriptor, FIRST_BYTES)
        return found.st_size
    finally:
        os.close(descriptor)


def readable_url(url: str, through: Through) -> int | None:
    """Its size, None where the server does not say it. FleetError for a page in a file's place."""
    what = f"cannot fetch {host_of(url)}"
    answer = first_bytes(url, through, what)
    if is_page(answer.first) and not url.endswith((".html", ".htm")):
        todo = (
            "Log in or accept its licence where it asks for that, and give the file's own address"
        )
        raise FleetError(what, "it sends an HTML page in place of the file", todo)
    return answer.size


def urls_of(source: dict[str, Any], secret: dict[str, str]) -> list[str]:
    """The URLs of a source, whole where a secret completes them."""
    urls = [str(one.get("url", "")) for one in source.get("urls") or [] if isinstance(one, dict)]
    if isinstance(source.get("uri"), str):
        urls.append(source["uri"])
    return [secret.get(url, url) for url in urls]


def enough_space(size: int, free: int) -> str:
    """Of files that are fetched."""
    said = f"its files have {number(size, 'bytes')}, {number(free, 'bytes')} are free"
    if size > free:
        raise FleetError(
            "the disk is full", said, "Free some, or set dlrm_host_root to a larger disk"
        )
    return said

"""With whose rights this process touches files. Root works below a user's folder as that user.

A link that the user planted there then leads no further than the user may go. What is not the
user's, such as the container engine's socket, is used with root's rights: as_root(). Rights are the
whole process's, so one thread changes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple


class _Rights(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]


# Those to return to, outermost first. Empty: this process has the rights that it started with.
_left: list[_Rights] = []


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """With the rights of the user to whom `folder` belongs. It need not exist yet.

    Only root can change its rights: another user keeps its own.
    """
    with as_root():
        uid, gid = owner_of(folder)
    with acting_as(uid, gid):
        yield


@contextmanager
def acting_as(uid: int, gid: int, groups: tuple[int, ...] = ()) -> Iterator[None]:
    """With the rights of this user, if this process is root's. May be nested.

    `groups`: its other groups; without them it may do less.
    """
    if not _left and (uid == 0 or os.geteuid() != 0):
        yield
        return
    before = _Rights(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    _left.append(before)
    try:
        _become(_left[0] if uid == 0 else _Rights(uid, gid, groups))
        yield
    finally:
        try:
            _become(before)
        finally:
            _left.pop()


@contextmanager
def as_root() -> Iterator[None]:
    """With the rights this process started with, inside of acting_as()."""
    with acting_as(0, 0):
        yield


def _become(rights: _Rights) -> None:
    # Only root may change user and groups.
    os.seteuid(_left[0].uid)
    os.setgroups(rights.groups)
    os.setegid(rights.gid)
    os.seteuid(rights.uid)


def owner_of(folder: Path) -> tuple[int, int]:
    """uid and gid of whoever can replace what lies at `folder`, the nearest first; root's if none.

    Root's as well where a folder of root's keeps the owner from reaching `folder`: its rights
    would not suffice there.
    """
    found = _owner(folder, follow=False) or _owner(folder, follow=True)
    if found is None:
        owners = [_owner(parent, follow=False) for parent in folder.parents]
        return next((owner for owner in owners if owner is not None), (0, 0))
    real = Path(os.path.realpath(folder.parent))
    above = [*folder.parents, real, *real.parents]
    if all(_owner(parent, follow=False) is None for parent in above):
        with acting_as(*found):
            reached = os.access(folder.parent, os.X_OK, effective_ids=True)
        return found if reached else (0, 0)
    return found


def _owner(path: Path, follow: bool) -> tuple[int, int] | None:
    """None for root, and where nothing can be seen."""
    with suppress(OSError):
        found = path.stat() if follow else path.lstat()
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
    return None

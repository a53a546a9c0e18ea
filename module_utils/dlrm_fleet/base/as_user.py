"""Work as another user: links that this user planted then lead no further than the user may go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_user(uid: int, gid: int, name: str = "") -> Iterator[None]:
    """This process's effective user and groups; with `name`, all groups of that user.

    Nothing changes for root's own uid, or if this process is not root.
    """
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    own_gid, own_groups = os.getegid(), os.getgroups()
    try:
        if name:
            os.initgroups(name, gid)
        else:
            os.setgroups([gid])
        os.setegid(gid)
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_gid)
        os.setgroups(own_groups)

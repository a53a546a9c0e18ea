"""With whose rights a published file name is made: its folder may be a link into a home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.rights import acting_as, as_root, owner_of


@contextmanager
def rights_at(root: Path, name: str) -> Iterator[None]:
    """For what lies at `name` below `root`: as a rule, the rights this process has.

    A folder that root linked to (module dlrm_host_root) may belong to another user, or be root's:
    then with the rights of that folder's owner. A link that somebody else made is not trusted so.
    """
    folder = root / name.split("/", 1)[0]
    if not _leads_elsewhere(folder):
        yield
        return
    with as_root():
        uid, gid = owner_of(Path(os.path.realpath(folder)))
    with acting_as(uid, gid):
        yield


def _leads_elsewhere(folder: Path) -> bool:
    if not folder.is_symlink() or folder.lstat().st_uid != 0:
        return False
    return not os.access(folder, os.W_OK | os.X_OK, effective_ids=True)

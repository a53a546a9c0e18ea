"""The root folder of a host and the links between it and the login user's home.

`Folders` is one code path for looking and acting: without `act` it only lists what it would change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.errors import FleetError
from ..base.owner import ids

FOLDER_MODE = 0o755
OWN_FOLDERS = ("stages", "runs", "incoming")
PUBLISHED_FOLDERS = ("data", "model", "results")


class Folders:
    """Ensures folders and links below `root`, owned by `owner` ('uid:gid').

    Attributes:
        changes: path -> what was done to it; without `act`, what would be.
    """

    def __init__(self, root: Path, owner: str, act: bool) -> None:
        self.root = root
        self.owner = ids(owner)
        self.act = act
        self.changes: dict[str, str] = {}

    def ensure(self) -> None:
        """The root and this project's own folders in it."""
        if self.act:
            self.root.parent.mkdir(parents=True, exist_ok=True)
        self.folder(self.root)
        for name in OWN_FOLDERS:
            self.folder(self.root / name)

    def link_home(self, home: Path, user: str) -> None:
        """Makes data, model and results the same folders in the home and in the root.

        The home's name becomes a link into the root. Where the user has a folder already, the
        root's name becomes a link to that folder instead. The home is touched as `user`
        ('uid:gid'), since it may lie on a file system that root may not enter.
        """
        for name in PUBLISHED_FOLDERS:
            with _as_user(ids(user)):
                theirs = self._home_target(home / name)
            if theirs in (None, str(self.root / name)):
                self.folder(self.root / name)
                if theirs is None:
                    with _as_user(ids(user)):
                        self.link(home / name, str(self.root / name))
            else:
                self._use_their_folder(self.root / name, str(theirs))

    def folder(self, path: Path) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            self.changes[str(path)] = "folder made"
            if self.act:
                path.mkdir()
                os.chown(path, *self.owner)
                path.chmod(FOLDER_MODE)
            return
        if stat.S_ISLNK(found.st_mode) and path.is_dir():
            return
        if not stat.S_ISDIR(found.st_mode):
            raise FleetError(f"cannot use {str(path)!r} as a folder", "it is a file", "Rename it")
        if (found.st_uid, found.st_gid) != self.owner or stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            self.changes[str(path)] = "owner and mode set"
            if self.act:
                os.chown(path, *self.owner)
                path.chmod(FOLDER_MODE)

    def link(self, path: Path, target: str) -> None:
        if path.is_symlink() and str(path.readlink()) == target:
            return
        self.changes[str(path)] = f"link to {target}"
        if self.act:
            aside = path.with_name(f".{path.name}.dlrm-new")
            aside.unlink(missing_ok=True)
            aside.symlink_to(target)
            aside.replace(path)

    def _home_target(self, path: Path) -> str | None:
        """The user's folder, or the target of the user's link; None when there is neither."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            return str(path.readlink())
        if not stat.S_ISDIR(found.st_mode):
            why = "it is a file, not a folder or a link"
            raise FleetError(f"cannot use {str(path)!r}", why, "Rename it")
        return str(path)

    def _use_their_folder(self, path: Path, target: str) -> None:
        """Links to the user's own folder, which stays as it is."""
        if path.is_dir() and not path.is_symlink():
            if any(path.iterdir()):
                why = f"both it and the user's own {target!r} hold files"
                raise FleetError(
                    f"cannot link {str(path)!r}",
                    why,
                    "Move the files of one into the other, then remove the empty one",
                )
            if self.act:
                path.rmdir()
        self.link(path, target)


@contextmanager
def _as_user(user: tuple[int, int]) -> Iterator[None]:
    """Touches files as `user` where this process is root."""
    if os.geteuid() != 0 or user[0] == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user[1])
    os.seteuid(user[0])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)

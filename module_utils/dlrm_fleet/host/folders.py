"""The root folder of a host and the links between it and the login user's home.

`Folders` is one code path for looking and acting: without `act` it only lists what it would change.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ..base.errors import FleetError
from ..base.opening import open_folder
from ..base.owner import ids
from ..base.rights import acting_as, as_owner_of, as_root

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
            with as_owner_of(self.root.parent):
                self.root.parent.mkdir(parents=True, exist_ok=True)
        self.folder(self.root)
        for name in OWN_FOLDERS:
            self.folder(self.root / name)
        for name in ("stages", "runs"):
            self._inherit(self.root / name)

    def _inherit(self, folder: Path) -> None:
        """Another user may have logged in before: the present one owns the folders inside, too."""
        with as_owner_of(self.root):
            if not folder.is_dir() or folder.is_symlink():
                return
            inside = [path for path in sorted(folder.iterdir()) if not path.is_symlink()]
        for path in inside:
            if path.is_dir() and (path.stat().st_uid, path.stat().st_gid) != self.owner:
                self.folder(path)

    def link_home(self, home: Path, user: str) -> None:
        """Makes data, model and results the same folders in the home and in the root.

        The home's name becomes a link into the root. Where the user has a folder already, the
        root's name becomes a link to that folder instead. The home is touched as `user`
        ('uid:gid'), since it may lie on a file system that root may not enter.
        """
        for name in PUBLISHED_FOLDERS:
            with acting_as(*ids(user)):
                theirs = self._home_target(home / name)
            if theirs in (None, str(self.root / name)):
                self.folder(self.root / name)
                if theirs is None:
                    with acting_as(*ids(user)):
                        self.link(home / name, str(self.root / name))
            else:
                self._use_their_folder(self.root / name, str(theirs), ids(user))

    def folder(self, path: Path) -> None:
        with as_owner_of(path.parent):
            try:
                found = path.lstat()
            except FileNotFoundError:
                self.changes[str(path)] = "folder made"
                if not self.act:
                    return
                path.mkdir()
                found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and path.is_dir():
            return
        if not stat.S_ISDIR(found.st_mode):
            raise FleetError(f"cannot use {str(path)!r} as a folder", "it is a file", "Rename it")
        if (found.st_uid, found.st_gid) != self.owner or stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            self.changes.setdefault(str(path), "owner and mode set")
            if self.act:
                self._give(path)

    def _give(self, path: Path) -> None:
        """To the owner. Through a descriptor: a link that takes the folder's place gets nothing."""
        with as_root():
            folder = open_folder(path)
            try:
                os.fchown(folder, *self.owner)
                os.fchmod(folder, FOLDER_MODE)
            finally:
                os.close(folder)

    def link(self, path: Path, target: str) -> None:
        if path.is_symlink() and str(path.readlink()) == target:
            return
        self.changes[str(path)] = f"link to {target}"
        if self.act:
            folder = open_folder(path.parent)
            aside = f".{path.name}.{secrets.token_hex(8)}.partial"
            try:
                os.symlink(target, aside, dir_fd=folder)
                os.replace(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                os.close(folder)

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

    def _use_their_folder(self, path: Path, target: str, user: tuple[int, int]) -> None:
        """Links to the user's own folder, which stays as it is.

        Root makes the link to a folder that is not the owner's: stages/published.py follows only
        root's own links there.
        """
        with as_owner_of(path.parent):
            if not path.is_symlink() and path.is_dir():
                if any(path.iterdir()):
                    why = f"both it and the user's own {target!r} hold files"
                    raise FleetError(
                        f"cannot link {str(path)!r}",
                        why,
                        "Move the files of one into the other, then remove the empty one",
                    )
                if self.act:
                    path.rmdir()
            if user == self.owner:
                self.link(path, target)
                return
        self.link(path, target)

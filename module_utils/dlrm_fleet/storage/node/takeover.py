"""Gives the storage node's folders to the user who works there, also what root made in them.

Nothing is followed: below a folder of that user, a link may lead anywhere.
"""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from ...base.as_owner import as_owner
from ...base.documents import write_atomic
from ...base.errors import FleetError, disk_error
from .own_key import copy_of, known_hosts_of

ROOT_UID = 0


class Folders:
    """`root`: the storage root; `keys`: the fleet's folder of keys; `key_file`: "" if none.

    `host_root`: the folder to read if this machine is a benchmark host, too.
    """

    def __init__(
        self, root: Path, keys: Path, user: str, key_file: str = "", host_root: str = ""
    ) -> None:
        self.root = root
        self.keys = keys
        self.key_file = key_file
        self.owner = owner_name(root, user, host_root)

    def lacking(self) -> list[str]:
        """What ensure() would make or give away.

        Looks two levels deep: an older release that has worked here since left something there.
        """
        entry = _entry(self.owner)
        if entry is None:
            return [f"user {self.owner}", str(self.root), str(self.keys)]
        gives = entry.pw_uid != 0 and os.geteuid() == 0
        missing = []
        if _differs(self.root, entry.pw_uid, 0o755) or (gives and _has_roots(self.root, 2)):
            missing.append(str(self.root))
        if gives:
            if _differs(self.keys, entry.pw_uid, 0o700) or _has_roots(self.keys, 1):
                missing.append(str(self.keys))
            missing += [str(path) for path in self._stale_copies(entry.pw_uid)]
        return missing

    def ensure(self) -> None:
        """Does what lacking() names. Repeated after a kill, it ends complete."""
        entry = _entry(self.owner)
        if entry is None:
            raise FleetError(f"cannot give {str(self.root)!r} away", f"no user {self.owner!r}")
        uid, gid = entry.pw_uid, entry.pw_gid
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o755)
            if uid == 0 or os.geteuid() != 0:
                return
            self.keys.mkdir(parents=True, exist_ok=True)
            self.keys.chmod(0o700)
            # Each folder after its content: while it is root's, lacking() names it.
            for folder in (self.root, self.keys):
                _give_below(folder, uid, gid)
                os.chown(folder, uid, gid)
            self._open_way()
        except OSError as error:
            what = f"cannot make {error.filename!r} {self.owner}'s"
            raise disk_error(what, error) from None
        self._copy(self._stale_copies(uid))

    def _open_way(self) -> None:
        """The folders above the keys, where only root may look into them: configuration's."""
        for folder in self.keys.parents:
            if Path("/etc") not in folder.parents:
                continue
            mode = stat.S_IMODE(folder.stat().st_mode)
            if not mode & stat.S_IXOTH:
                folder.chmod(mode | 0o011)

    def _stale_copies(self, uid: int) -> dict[Path, Path]:
        """The file to copy, by the path of its copy. Root opens nothing of another user."""
        if not self.key_file:
            return {}
        copy = copy_of(self.root, self.key_file)
        known = Path(pwd.getpwuid(0).pw_dir) / ".ssh" / "known_hosts"
        wanted = {copy: Path(self.key_file), known_hosts_of(copy): known}
        return {
            path: source
            for path, source in wanted.items()
            if source.is_file() and _is_older(path, source, uid)
        }

    def _copy(self, copies: dict[Path, Path]) -> None:
        contents = {path: source.read_bytes() for path, source in copies.items()}

        def write() -> dict[str, str]:
            for path, content in contents.items():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                write_atomic(path, content, 0o600)
            return {}

        as_owner(self.root, write)


def owner_name(root: Path, user: str, host_root: str = "") -> str:
    """The user who owns the root, or is going to.

    A root that belongs to an ordinary user stays theirs. It stays root's if `user` could not reach
    it, or not the host's root, because a folder above is closed to others.
    """
    uid = root.stat().st_uid if root.is_dir() else 0
    if uid != 0:
        return _name(uid)
    if os.geteuid() != 0:
        return _name(os.geteuid())
    above = [*root.absolute().parents, *(Path(host_root).parents if host_root else ())]
    return user if all(map(_is_open, above)) else "root"


def _is_open(folder: Path) -> bool:
    """A folder that is not there yet is going to be made open."""
    try:
        return bool(folder.stat().st_mode & stat.S_IXOTH)
    except FileNotFoundError:
        return True


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None


def _differs(path: Path, uid: int, mode: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    return found.st_uid != uid or stat.S_IMODE(found.st_mode) != mode


def _is_older(path: Path, source: Path, uid: int) -> bool:
    """True if `path` is no copy of `source` as it is now."""
    try:
        copy, wanted = path.lstat(), source.stat()
    except FileNotFoundError:
        return True
    return (
        not stat.S_ISREG(copy.st_mode)
        or (copy.st_uid, copy.st_size) != (uid, wanted.st_size)
        or copy.st_mtime < wanted.st_mtime
    )


def _is_roots(found: os.stat_result) -> bool:
    """A file with a second name may be one of root's own, which somebody has linked here."""
    return found.st_uid == ROOT_UID and (not stat.S_ISREG(found.st_mode) or found.st_nlink == 1)


def _has_roots(folder: Path, levels: int) -> bool:
    """True if something there is root's. What vanishes meanwhile does not count."""
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return False
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if _is_roots(found):
                return True
            if levels > 1 and stat.S_ISDIR(found.st_mode) and _has_roots(path, levels - 1):
                return True
    return False


def _give_below(folder: Path, uid: int, gid: int) -> None:
    """Contents before the folder they lie in. os.fwalk descends into no link."""
    for _path, folders, files, descriptor in os.fwalk(folder, topdown=False):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                if _is_roots(os.stat(name, dir_fd=descriptor, follow_symlinks=False)):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)

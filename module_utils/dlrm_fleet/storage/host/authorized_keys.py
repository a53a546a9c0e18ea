"""A login user's authorized_keys and folder for what arrives, on a benchmark host.

The file is read and written as that user. So a link that the user has planted leads root nowhere,
and a home on a network file system works where root has no rights.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ...base.errors import FleetError
from ...base.line_file import edit
from ...base.opening import FOLDER, open_folder
from ...base.rights import acting_as
from ...wire.ssh_names import checked_login

REFUSED = "cannot let the storage node in"


@dataclass(frozen=True)
class Account:
    """A user of this host; directory services know theirs by getpwnam(3) as well."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def authorized_keys(self) -> Path:
        return self.home / ".ssh" / "authorized_keys"


def account(user: str) -> Account:
    checked_login(user, REFUSED)
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise FleetError(f"{REFUSED} as {user!r}", "this host has no such user") from None
    return Account(user, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def change(
    who: Account, new_text: Callable[[bytes], bytes], check: bool = False
) -> tuple[bytes, bytes]:
    """(before, after). The file gets mode 0600 and a new .ssh 0700, as sshd's StrictModes asks."""
    path = who.authorized_keys
    try:
        with acting_as(who.uid, who.gid, tuple(os.getgrouplist(who.name, who.gid))):
            if not check and not path.parent.exists() and new_text(b""):
                path.parent.mkdir(mode=0o700)
            return edit(path, new_text, 0o600, check)
    except (FleetError, OSError) as error:
        why = str(error) if isinstance(error, FleetError) else error.strerror or str(error)
        raise FleetError(f"cannot change {str(path)!r} as user {who.name!r}", why) from None


def ensure_incoming(root: Path, who: Account) -> None:
    """<root>/incoming belongs to the login user. A link in its place would lead the key elsewhere.

    The folders are held open, so that a link put there meanwhile changes nothing. Root follows no
    link that a lesser user put in the way to them.
    """
    path = root / "incoming"
    try:
        with ExitStack() as held:
            top = open_folder(root)
            held.callback(os.close, top)
            with suppress(FileExistsError):
                os.mkdir(path.name, mode=0o755, dir_fd=top)
            inner = os.open(path.name, FOLDER | os.O_NOFOLLOW, dir_fd=top)
            held.callback(os.close, inner)
            os.fchown(inner, who.uid, who.gid)
    except OSError as error:
        link = next((one for one in (path, *path.parents) if one.is_symlink()), None)
        if link is not None and error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise FleetError(f"cannot use {str(link)!r}", "it is a link", "Remove it") from None
        raise FleetError(f"cannot use {str(path)!r}", error.strerror or str(error)) from None

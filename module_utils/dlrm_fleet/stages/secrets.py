"""The secret of a stage's source on its way into the container: a file in memory, mode 0600.

Its folder is root's, so it is touched with root's rights.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from ..base.errors import FleetError, disk_error
from ..base.owner import Owner
from ..base.rights import as_root
from ..wire.secret_file import SourceSecret, read_secret
from ..wire.strict_json import read
from . import catalogue as catalogue_rules
from .asked import HostPlan, Start
from .folder import StageFolder
from .key import short

# A tmpfs wherever systemd runs: no disk ever holds the secret, and a reboot ends it.
PLACE = Path("/run/dlrm" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}/dlrm")
INSIDE = "/dlrm/secret.json"


def of_stage(plan: HostPlan, start: Start) -> SourceSecret | None:
    """The secret that this stage's container needs; FleetError when it does not fit the source."""
    source = catalogue_rules.source(plan.entries[start.stage], plan.request)
    if not start.secret.strip() or source is None:
        return None
    return read_secret(start.secret, source, f"cannot use the secret of stage {start.stage!r}")


@as_root()
def deliver(folder: StageFolder, attempt: int, secret: SourceSecret, owner: Owner) -> Path:
    """Write the file that the attempt's container gets at INSIDE; only its user can read it."""
    path = _path(folder, attempt)
    _make_private(PLACE)
    _make_private(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(secret.document(), handle)
        owner.take(path)
    except OSError as error:
        withdraw(folder, attempt)
        raise disk_error(f"cannot write {str(path)!r}", error) from None
    return path


@as_root()
def hidden(folder: StageFolder, attempt: int) -> list[str]:
    """The texts of the attempt's secret that nothing may show; empty when it has none."""
    try:
        return [str(text) for text in read(_path(folder, attempt))["hidden"]]
    except (FleetError, OSError, KeyError, TypeError):
        return []


@as_root()
def withdraw(folder: StageFolder, attempt: int) -> None:
    """Remove the attempt's file. Does nothing when there is none."""
    _path(folder, attempt).unlink(missing_ok=True)


@as_root()
def sweep(root: Path) -> None:
    """Remove what killed commands left of this root's secrets, while none of its stages runs."""
    place = _place(root)
    if not place.is_dir() or place.is_symlink():
        return
    for path in place.iterdir():
        with suppress(OSError):
            path.unlink()


def _place(root: Path) -> Path:
    return PLACE / hashlib.sha256(str(root).encode()).hexdigest()[:16]


def _path(folder: StageFolder, attempt: int) -> Path:
    return _place(folder.root) / f"{folder.stage}-{short(folder.key)}-{attempt}.json"


def _make_private(path: Path) -> None:
    with suppress(FileExistsError):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            raise
        except OSError as error:
            raise disk_error(f"cannot make the folder {str(path)!r}", error) from None
    found = path.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
    if not private or found.st_uid != os.geteuid():
        raise FleetError(
            f"cannot use the folder {str(path)!r}",
            "it is not a folder that only its user can write",
            "Remove it, then run again",
        )

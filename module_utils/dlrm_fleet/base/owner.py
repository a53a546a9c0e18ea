"""Who owns what is written below a host's root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import FleetError, disk_error


def ids(text: str) -> tuple[int, int]:
    """'uid:gid' as numbers; FleetError when it is anything else."""
    found = re.fullmatch(r"([0-9]+):([0-9]+)", text)
    if found is None:
        raise FleetError(f"user {text!r} is not allowed", "wanted '<uid>:<gid>', two numbers")
    return int(found.group(1)), int(found.group(2))


class Owner:
    """uid and gid of everything below the root folder; uid 0 is refused."""

    def __init__(self, text: str) -> None:
        self.uid, self.gid = ids(text)
        if self.uid == 0:
            raise FleetError(
                f"user {text!r} is not allowed",
                "a benchmark's container never runs as root (uid 0)",
                "Give the root folder to an ordinary user and name that one",
            )
        self.text = f"{self.uid}:{self.gid}"

    def make_directory(self, path: Path, exclusive: bool = False) -> None:
        """Like mkdir -p. Only folders made here change their owner.

        Raises DiskError; with `exclusive` FileExistsError when anything is at `path` already.
        """
        missing = [p for p in [path, *path.parents] if not p.is_dir()]
        try:
            for directory in reversed(missing):
                directory.mkdir(mode=0o755, exist_ok=not (exclusive and directory == path))
                self.take(directory)
        except FileExistsError as error:
            if exclusive and os.path.lexists(path):
                raise
            raise disk_error(f"cannot make the folder {str(path)!r}", error) from None
        except OSError as error:
            raise disk_error(f"cannot make the folder {str(path)!r}", error) from None
        if exclusive and path not in missing:
            raise FileExistsError(str(path))

    def take(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def inherit_owner(path: Path) -> None:
    """Give `path` the owner of the folder it lies in."""
    if os.geteuid() == 0:
        parent = path.parent.stat()
        os.chown(path, parent.st_uid, parent.st_gid, follow_symlinks=False)

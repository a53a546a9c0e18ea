"""Files that arrived in a host's incoming/, which the login user owns: root touches no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...base.documents import sha256_descriptor
from ...base.errors import FleetError
from ...base.opening import FOLDER, NotRegular, open_folder, open_regular
from ...base.owner import Owner
from ...base.rights import as_root

INCOMING = "incoming"


class Arrived:
    """One regular file, open: its name may lead to another one meanwhile, its content may not."""

    def __init__(self, folder: int, name: str, file: int) -> None:
        self._folder = folder
        self._name = name
        self._file = file
        self.size = os.fstat(file).st_size

    def sha256(self) -> str:
        return sha256_descriptor(os.dup(self._file))

    def remove(self) -> None:
        with as_root():
            os.unlink(self._name, dir_fd=self._folder)

    def install(self, target: Path, owner: Owner) -> None:
        """Gives it to `owner` and moves it to `target`. Raises OSError and FleetError."""
        owner.make_directory(target.parent)
        folder = os.open(target.parent, FOLDER)
        try:
            self._refuse_foreign(folder, target)
            with as_root():
                os.fsync(self._file)
                os.fchmod(self._file, 0o644)
                if os.geteuid() == 0:
                    os.fchown(self._file, owner.uid, owner.gid)
                os.replace(self._name, target.name, src_dir_fd=self._folder, dst_dir_fd=folder)
                moved = os.stat(target.name, dir_fd=folder, follow_symlinks=False)
                if not os.path.samestat(moved, os.fstat(self._file)):
                    os.unlink(target.name, dir_fd=folder)
                    raise FleetError(f"cannot install {str(target)!r}", "it was swapped meanwhile")
                os.fsync(folder)
        finally:
            os.close(folder)

    def _refuse_foreign(self, folder: int, target: Path) -> None:
        """Root renames into a folder of the user whose rights are used, and into no other."""
        if os.geteuid() not in (0, os.fstat(folder).st_uid):
            raise FleetError(
                f"cannot install {str(target)!r}", "its folder belongs to another user", "Remove it"
            )


@contextmanager
def arrived(root: Path, sha256: str) -> Iterator[Arrived | None]:
    """The file of that name in incoming/; None where there is none, or something else."""
    with ExitStack() as opened:
        with as_root():
            folder = open_folder(root / INCOMING)
            opened.callback(os.close, folder)
            try:
                file = open_regular(sha256, folder=folder)
            except (FileNotFoundError, NotRegular):
                file = -1
            else:
                opened.callback(os.close, file)
                if os.fstat(file).st_nlink != 1:
                    # Another name may be anybody's file: what is written here would change it.
                    os.unlink(sha256, dir_fd=folder)
                    file = -1
        yield None if file < 0 else Arrived(folder, sha256, file)

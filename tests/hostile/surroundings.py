"""What lies around a storage node's and a host's folders, and must stay as it is."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECRET = "a private key\n"


def snapshot(*folders: Path) -> dict[str, tuple[int, int, str]]:
    """Each file, link and folder below: its mode, its mtime, its content's sha256 or target."""
    found = {}
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            state = path.lstat()
            content = ""
            if path.is_symlink():
                content = str(path.readlink())
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (state.st_mode, state.st_mtime_ns, content)
    return found


class Surroundings:
    """`node` and `host` are two machines' roots. All else below `folder` is somebody else's."""

    def __init__(self, folder: Path, other: Path) -> None:
        self.folder = folder
        self.node, self.host = folder / "node", folder / "host"
        # So short that the sixteen characters which a key gives to a folder's name hold it all.
        self.other = other
        for path in (self.node, self.host, folder / "home" / ".ssh", folder / "etc"):
            path.mkdir(parents=True)
        for path in (other, folder, folder / "home" / ".ssh", folder / "etc"):
            (path / "precious").write_text(SECRET)
        (folder / "home" / ".ssh" / "authorized_keys").write_text("ssh-ed25519 AAAA mine\n")
        self.settle()

    def settle(self) -> None:
        """From now on nothing outside may change."""
        self.before = self.outside()

    def outside(self) -> dict[str, tuple[int, int, str]]:
        others = [path for path in self.folder.iterdir() if path not in (self.node, self.host)]
        return snapshot(self.other, *sorted(others))

    def harm(self) -> list[str]:
        """What was changed, made or removed outside the two roots; links that lead there."""
        now = self.outside()
        changed = [path for path in {*now, *self.before} if now.get(path) != self.before.get(path)]
        links = [path for path in self.links() if not self.inside(path.resolve())]
        copies = [
            path
            for root in (self.node, self.host)
            for path in root.rglob("*")
            if path.is_file() and path.stat().st_size < 99 and path.read_bytes() == SECRET.encode()
        ]
        return sorted(map(str, [*changed, *links, *copies]))

    def links(self) -> Iterator[Path]:
        for root in (self.node, self.host):
            yield from (path for path in root.rglob("*") if path.is_symlink())

    def inside(self, path: Path) -> bool:
        return self.node in path.parents or self.host in path.parents


@contextmanager
def around(folder: Path) -> Iterator[Surroundings]:
    other = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
    try:
        yield Surroundings(folder, other)
    finally:
        shutil.rmtree(other)

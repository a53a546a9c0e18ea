"""Send stored files into a host's incoming/: small ones together, large ones in streams."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...base.commands import Runner
from ...base.documents import sha256_file
from ...base.errors import FleetError
from ...base.locks import exclusive_lock
from ..rsync import push_command, worded_failure
from .own_key import readable
from .pull import MANY_FILES, SMALL_BYTES
from .spool import plain
from .store import StageStore


class Push:
    """From the storage node's root to one host; `source` None: the host is this machine."""

    def __init__(
        self, root: Path, host: str, host_root: str, source: dict[str, Any] | None, run: Runner
    ) -> None:
        self.root = root
        self.host = host
        self.host_root = host_root
        self.source = readable(root, source)
        self.run = run
        self.store = StageStore(root)

    def send(self, files: dict[str, int], streams: int = 4) -> int:
        """`files`: sha256 -> bytes. Returns their bytes. A cut transfer goes on next time."""
        paths = {sha256: self._stored(sha256, size) for sha256, size in sorted(files.items())}
        small = [path for sha256, path in paths.items() if files[sha256] < SMALL_BYTES]
        large = [[path] for sha256, path in paths.items() if files[sha256] >= SMALL_BYTES]
        groups = [small[at : at + MANY_FILES] for at in range(0, len(small), MANY_FILES)]
        with self._locked():
            for group in groups:
                self._copy(group)
            with ThreadPoolExecutor(max_workers=max(1, streams)) as pool:
                for one in [pool.submit(self._copy, group) for group in large]:
                    one.result()
        return sum(files.values())

    def verify(self, files: dict[str, int]) -> None:
        """After a host refused these files: move a damaged one aside and raise FleetError."""
        for sha256, size in sorted(files.items()):
            path = self._stored(sha256, size)
            found = sha256_file(path)
            if found != sha256:
                aside = path.with_name(f"{sha256}.damaged")
                path.replace(aside)
                raise FleetError(
                    f"refused {str(path)!r} of the storage node",
                    f"its content has sha256 {found}, wanted {sha256}; it was moved aside as "
                    f"{aside.name!r}, and the host took nothing of it",
                    "Check that disk. playbooks/fetch_artifacts.yml brings the file back from a "
                    "host that has it; if none has it, it is made anew",
                )

    def _stored(self, sha256: str, size: int) -> Path:
        path = self.store.stored(sha256)
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            raise FleetError(
                f"cannot send {str(path)!r} to {self.host}",
                f"wanted {size} bytes in the store, found {'none' if found is None else found}",
                "Fetch it again from a host that has it (playbooks/fetch_artifacts.yml)",
            )
        return path

    def _copy(self, paths: list[Path]) -> None:
        command = push_command(self.source, [str(path) for path in paths], self.host_root)
        rc, _out, err = self.run(command)
        if rc != 0:
            what = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
            raise worded_failure(self.source, what, self.host_root, rc, err, sending=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One push per host: two would append to one file. rsync keeps the lock if we die."""
        if self.source is None:
            # The host's own user sends on this machine, and leaves nothing but files there.
            folder = held = Path(self.host_root) / "incoming"
        else:
            folder = self.root / "incoming"
            held = folder / f".push.{plain(self.host)}.lock"
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(held, inherit=True):
            yield

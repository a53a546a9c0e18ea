"""Bring a host's files to the storage node: content-addressed, verified before they get their name.

store/sha256/<aa>/<sha256>           the content of artifacts, once each
artifacts/<host>/<link>              readable names, symbolic links into the store
runs/<run_id>/<host>/<name>          a run's own small files
incoming/<sha256>.partial            what a killed transfer leaves; the next one goes on from there
incoming/<pid>.<thread>.partial/     small files of one transfer, until each is verified
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.commands import Runner, with_file_limit
from ...base.disk import refuse_full
from ...base.documents import sha256_file, sync_directory
from ...base.errors import FleetError
from ...base.locks import exclusive_lock
from ...wire.fields import NAME
from ...wire.host_answer import OfferedFile, OfferedStage
from ...wire.stage_document import FilePromise
from ..arriving import ArrivingFile
from ..rsync import copy_command, copy_many_command, worded_failure
from .own_key import readable
from .store import StageStore

# Smaller files go together in one rsync; larger ones each in a stream that can be resumed.
SMALL_BYTES = 16 * 1024**2
# A command line stays far below the kernel's limit for one argument (128 KiB).
MANY_FILES = 300


@dataclass(frozen=True)
class Item:
    """One file the host promises. `link`: an artifact's readable name; None: a run's own file."""

    name: str
    path: str
    size: int
    sha256: str
    target: Path
    link: Path | None


@dataclass(frozen=True)
class Step:
    """What has to be done for an item; check mode computes the same."""

    item: Item
    action: str  # reuse, resume, fetch
    have_bytes: int
    relink: bool

    @property
    def changes(self) -> bool:
        return self.action != "reuse" or self.relink

    def line(self) -> str:
        size = f"{self.item.size / 1024**2:.1f} MiB"
        if self.action == "reuse":
            linked = ", link made" if self.relink else ""
            return f"{self.item.name}: reused, the storage node has it ({size}){linked}"
        if self.action == "resume":
            return f"{self.item.name}: resumed at {self.have_bytes / 1024**2:.1f} MiB of {size}"
        return f"{self.item.name}: fetched ({size})"


class Pull:
    """From one host to the storage node's root; `source` None: the host is this machine.

    `makers`: see StageStore.
    """

    def __init__(
        self,
        root: Path,
        source: dict[str, Any] | None,
        run: Runner,
        makers: Collection[str] = (),
    ) -> None:
        self.root = root
        self.source = readable(root, source)
        self.run = run
        self.store = StageStore(root, makers)

    def partial(self, sha256: str) -> Path:
        return self.root / "incoming" / f"{sha256}.partial"

    def items(
        self, host: str, artifacts: Sequence[OfferedFile], run_id: str, files: Sequence[OfferedFile]
    ) -> list[Item]:
        """Refuses a host's name or a run id that is no folder's name."""
        _safe("host", host)
        if files:
            _safe("run_id", run_id)
        links, run = self.root / "artifacts" / host, self.root / "runs" / run_id / host
        return [
            *(
                _item(one.file, one.path, self.store.stored(one.file.sha256), links / str(one.link))
                for one in artifacts
            ),
            *(_item(one.file, one.path, run / one.file.name, None) for one in files),
        ]

    def stage_items(self, stages: Sequence[OfferedStage], others: list[Item]) -> list[Item]:
        """The outputs of stages whose files are fetched, without those among `others`."""
        there = {item.target for item in others}
        items = []
        for stage in stages:
            folder = self.store.folder(stage.document.stage, stage.document.key)
            for output in stage.document.outputs if stage.files else ():
                target = self.store.stored(output.sha256)
                if target not in there:
                    there.add(target)
                    path = f"{stage.folder}/{output.name}"
                    items.append(_item(output, path, target, folder / output.name))
        return items

    def plan(self, items: list[Item]) -> list[Step]:
        return [self._step(item) for item in items]

    def _step(self, item: Item) -> Step:
        relink = item.link is not None and _needs_link(item.link, item.target)
        if self._have(item):
            return Step(item, "reuse", item.size, relink)
        have = _size(self.partial(item.sha256)) or 0
        return Step(item, "resume" if 0 < have < item.size else "fetch", have, relink)

    def _have(self, item: Item) -> bool:
        """A stored file was verified before it got its name; a run's files, small, are hashed."""
        if _size(item.target) != item.size:
            return False
        return item.link is not None or sha256_file(item.target) == item.sha256

    def apply(self, step: Step) -> int:
        """Returns the bytes transferred."""
        item = step.item
        transferred = 0
        if step.action != "reuse":
            transferred = self._bring(item)
        if item.link is not None and step.relink:
            _make_link(item.link, item.target)
        return transferred

    def apply_all(self, steps: list[Step], streams: int = 4) -> int:
        """Fetch `streams` large files at once and, beside them, small ones in one rsync.

        Returns the bytes transferred. Raises the first error, after all others have ended.
        """
        moving = [step for step in steps if step.action != "reuse"]
        small = [step for step in moving if step.action == "fetch" and step.item.size < SMALL_BYTES]
        groups = [small[at : at + MANY_FILES] for at in range(0, len(small), MANY_FILES)]
        large = [[step] for step in moving if step not in small]
        # All streams together must fit into the free space; equal files count once.
        missing = {step.item.target: step.item.size - step.have_bytes for step in moving}
        self._refuse_full(f"{len(missing)} files", sum(missing.values()))
        with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(max(1, streams)) as pool:
            futures = [beside.submit(self._bring_many, group) for group in groups]
            futures += [pool.submit(self._bring_many, one) for one in large]
        errors = [error for error in (future.exception() for future in futures) if error]
        transferred = sum(future.result() for future in futures if not future.exception())
        failed = {
            step.item
            for group, future in zip(groups + large, futures)
            if future.exception()
            for step in group
        }
        for step in steps:
            if step.item.link is not None and step.relink and step.item not in failed:
                _make_link(step.item.link, step.item.target)
        if errors:
            raise errors[0]
        return transferred

    def _bring_many(self, steps: list[Step]) -> int:
        """Several files go through a folder of their own; a single one needs none."""
        items = {step.item.path: step.item for step in steps}
        if len(items) < len(steps) or len(items) == 1:
            return sum(self._bring(step.item) for step in steps)
        staging = self.root / "incoming" / f"{os.getpid()}.{threading.get_ident()}.partial"
        _make_folder(staging)
        try:
            command = copy_many_command(self.source, sorted(items), str(staging))
            most = max(item.size for item in items.values())
            rc, _out, err = self.run(with_file_limit(command, most))
            if rc != 0:
                what = f"{len(items)} files, the first {min(items)}"
                raise worded_failure(self.source, what, str(self.root), rc, err)
            for path, item in items.items():
                self._accept(item, staging / path.lstrip("/"))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return sum(item.size for item in items.values())

    def _accept(self, item: Item, arrived: Path) -> None:
        found, size = sha256_file(arrived), arrived.stat().st_size
        if (found, size) != (item.sha256, item.size):
            raise _refusal(item, found, size)
        self._refuse_recorded(item)
        _make_folder(item.target.parent)
        with arrived.open("rb") as handle:
            os.fsync(handle.fileno())
        arrived.chmod(0o444)
        arrived.replace(item.target)
        sync_directory(item.target.parent)

    def _bring(self, item: Item) -> int:
        _make_folder(item.target.parent)
        partial = self.partial(item.sha256)
        _make_folder(partial.parent)
        # The partial file is its own lock, so a killed transfer leaves nothing else behind. rsync
        # inherits it: when only we are killed, nobody else writes until rsync has ended, too.
        with exclusive_lock(partial, inherit=True, mode=0o600):
            # Another process may have brought it while we waited for the lock.
            if self._have(item):
                partial.unlink(missing_ok=True)
                return 0
            self._refuse_recorded(item)
            self._refuse_full(repr(item.path), item.size - (_size(partial) or 0))
            transferred = self._transfer(item, partial)
            partial.chmod(0o444)
            partial.replace(item.target)
            sync_directory(item.target.parent)
        return transferred

    def _transfer(self, item: Item, partial: Path) -> int:
        """Goes on where the last transfer ended; if the sum is then wrong, starts from nothing."""
        resumed = _size(partial) or 0
        if resumed > item.size:
            os.truncate(partial, 0)
            resumed = 0
        transferred, found = self._copy(item, partial, resumed)
        if found != item.sha256 and resumed:
            os.truncate(partial, 0)
            again, found = self._copy(item, partial, 0)
            transferred += again
        size = _size(partial) or 0
        if found != item.sha256 or size != item.size:
            partial.unlink(missing_ok=True)
            raise _refusal(item, found, size)
        return transferred

    def _copy(self, item: Item, partial: Path, have: int) -> tuple[int, str]:
        """(bytes transferred, sha256 of the whole partial file), which is flushed to the disk."""
        with ArrivingFile(partial) as arriving:
            if have < item.size:
                command = copy_command(self.source, item.path, str(partial))
                rc, _out, err = self.run(with_file_limit(command, item.size))
                # With more bytes than promised it was ended for that: the sum refuses the file.
                if rc != 0 and (_size(partial) or 0) <= item.size:
                    raise worded_failure(self.source, item.path, str(self.root), rc, err)
        found = arriving.sha256(item.sha256)
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        return max((_size(partial) or 0) - have, 0), found

    def _refuse_recorded(self, item: Item) -> None:
        if item.link is None and any(
            (folder / "run.json").exists()
            for folder in item.target.parents
            if folder.parent.parent == self.root / "runs"
        ):
            raise FleetError(
                f"cannot change {str(item.target)!r}",
                "the run is recorded and its folder is immutable",
                "Start a new run without run_id",
            )

    def _refuse_full(self, files: str, size: int) -> None:
        what = f"cannot fetch {files} to {str(self.root)!r}"
        refuse_full(self.root, size, what, "the storage node's", "dlrm_storage_root")


def _refusal(item: Item, found: str, size: int) -> FleetError:
    return FleetError(
        f"refused {item.path!r}",
        f"its stage.json promises sha256 {item.sha256} and {item.size} bytes, but the file that "
        f"arrived has sha256 {found} and {size} bytes and was not stored",
        "Run again with verify=true: the host makes the file anew",
    )


def _item(file: FilePromise, path: str, target: Path, link: Path | None) -> Item:
    return Item(file.name, path, file.size, file.sha256, target, link)


def _safe(name: str, value: str) -> None:
    if not NAME.fullmatch(value):
        raise FleetError(
            f"cannot use {name} {value!r} as a folder's name",
            "it must begin with a letter, a digit or '_', and contain only these, '.' and '-'",
        )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(
            f"cannot make the folder {str(path)!r}",
            error.strerror or str(error),
            "Give the storage node's user write access to dlrm_storage_root",
        ) from None


def _needs_link(link: Path, target: Path) -> bool:
    if link.is_symlink():
        return str(link.readlink()) != os.path.relpath(target, link.parent)
    if link.exists():
        raise FleetError(
            f"cannot link {str(link)!r} into the store",
            "a file that is not ours has this name",
            "Move it away",
        )
    return True


def _make_link(link: Path, target: Path) -> None:
    _make_folder(link.parent)
    temporary = link.with_name(f"{link.name}.{os.getpid()}.{threading.get_ident()}.partial")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)
    finally:
        temporary.unlink(missing_ok=True)

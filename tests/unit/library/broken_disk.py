"""A disk that fails at its n-th change below a folder, and the loop over all n.

A change is a call that writes, flushes, renames, links, makes or removes. It fails with ENOSPC or
EIO, kills the process, or cuts the power: the process ends and files that were not flushed are
empty. Renames are not lost: what a directory's own flush protects is not tried.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

FAULTS = ("ENOSPC", "EIO", "kill", "power cut")
KILLED, WENT_ON = 9, 0
MOST_CHANGES = 400
BY_PATH = ("mkdir", "rmdir", "unlink", "remove", "chmod", "chown", "truncate", "utime")
BY_TARGET = ("replace", "rename", "link", "symlink")
BY_DESCRIPTOR = ("write", "fsync", "fdatasync", "fchmod", "fchown", "ftruncate")
# What differs from one undisturbed try to the next, and the sum of the document that holds it.
TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
SUM_OF_RECORD = re.compile(rb"[0-9a-f]{64}  run[.]json")


class Disk:
    """Counts changes below `root`; the one numbered `at` fails. `at` 0: none does."""

    def __init__(self, root: Path, at: int, fault: str) -> None:
        self.root = str(root)
        self.at = at
        self.fault = fault
        self.changes = 0
        self.unflushed: set[int] = set()

    @property
    def failed(self) -> bool:
        return 0 < self.at <= self.changes

    def holds(self, path: Any) -> bool:
        return os.fspath(path).startswith(self.root) if not isinstance(path, int) else False

    def change(self, half: Callable[[], None] | None = None) -> None:
        """`half` leaves what a change leaves that ends in its middle."""
        self.changes += 1
        if self.changes != self.at:
            return
        if half is not None:
            half()
        if self.fault == "power cut":
            self._lose_unflushed()
        if self.fault in ("kill", "power cut"):
            os._exit(KILLED)
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number))

    def _lose_unflushed(self) -> None:
        for path in self._files():
            stat = path.stat()
            if stat.st_ino in self.unflushed:
                path.chmod(0o644)
                with REAL_OPEN(path, "r+b") as file:
                    file.truncate(0)
                path.chmod(stat.st_mode)

    def _files(self) -> list[Path]:
        found = Path(self.root).rglob("*")
        return [path for path in found if path.is_file() and not path.is_symlink()]

    def seen(self) -> set[tuple[int, int, int]]:
        stats = [path.stat() for path in self._files()]
        return {(stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats}


class File:
    """A file open for writing: opening, each write and closing it are changes."""

    def __init__(self, disk: Disk, real: Any) -> None:
        self._disk = disk
        self._real = real

    def write(self, data: Any) -> int:
        self._disk.unflushed.add(os.fstat(self._real.fileno()).st_ino)

        def half() -> None:
            self._real.write(data[: len(data) // 2])
            self._real.flush()

        self._disk.change(half)
        return int(self._real.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *error: Any) -> None:
        self._real.close()


REAL_OPEN = io.open


@contextmanager
def broken_disk(root: Path, at: int, fault: str) -> Iterator[Disk]:
    """While it is open, the change numbered `at` below `root` fails."""
    disk = Disk(root, at, fault)
    replaced = [
        *((name, _by_path(disk, name)) for name in BY_PATH),
        *((name, _by_target(disk, name)) for name in BY_TARGET),
        *((name, _by_descriptor(disk, name)) for name in BY_DESCRIPTOR),
        ("open", _low_open(disk)),
    ]
    patches = [mock.patch.object(os, name, function) for name, function in replaced]
    patches += [mock.patch.object(module, "open", _open(disk)) for module in (io, builtins)]
    patches.append(mock.patch.object(subprocess, "run", _run(disk)))
    for patch in patches:
        patch.start()
    try:
        yield disk
    finally:
        for patch in patches:
            patch.stop()


def _place(path: Any, options: dict[str, Any]) -> str:
    folder = options.get("dir_fd")
    return os.fsdecode(path) if folder is None else f"{_name(folder)}/{os.fsdecode(path)}"


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _by_path(disk: Disk, name: str) -> Callable[..., Any]:
    real = getattr(os, name)

    def changed(path: Any, *rest: Any, **options: Any) -> Any:
        where = _name(path) if isinstance(path, int) else _place(path, options)
        if disk.holds(where):
            disk.change()
        return real(path, *rest, **options)

    return changed


def _by_target(disk: Disk, name: str) -> Callable[..., Any]:
    real = getattr(os, name)

    def changed(source: Any, target: Any, *rest: Any, **options: Any) -> Any:
        if disk.holds(target):
            disk.change()
        return real(source, target, *rest, **options)

    return changed


def _by_descriptor(disk: Disk, name: str) -> Callable[..., Any]:
    real = getattr(os, name)

    def changed(descriptor: int, *rest: Any, **options: Any) -> Any:
        if disk.holds(_name(descriptor)):
            disk.change()
        if name in ("fsync", "fdatasync"):
            # Only noted: a flush of a disk that others use takes a second.
            disk.unflushed.discard(os.fstat(descriptor).st_ino)
            return None
        return real(descriptor, *rest, **options)

    return changed


def _low_open(disk: Disk) -> Callable[..., int]:
    real = os.open

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        where = _place(path, options)
        if flags & os.O_CREAT and disk.holds(where) and not os.path.lexists(where):
            disk.change()
        return real(path, flags, *rest, **options)

    return opened


def _open(disk: Disk) -> Callable[..., Any]:
    def opened(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        writes = set(mode) & set("wax+") and not isinstance(path, int) and disk.holds(path)
        if writes:
            disk.change()
        real = REAL_OPEN(path, mode, *rest, **options)
        return File(disk, real) if writes else real

    return opened


def _run(disk: Disk) -> Callable[..., Any]:
    """A transfer is one change. It fails when half of what it writes has arrived."""
    real = subprocess.run

    def ran(command: list[str], *rest: Any, **options: Any) -> Any:
        before = disk.seen()
        done = real(command, *rest, **options)
        arrived = {stat[0] for stat in disk.seen() - before}
        disk.unflushed |= arrived

        def half() -> None:
            for path in disk._files():
                stat = path.stat()
                if stat.st_ino in arrived:
                    with REAL_OPEN(path, "r+b") as file:
                        file.truncate(stat.st_size // 2)

        try:
            disk.change(half)
        except OSError as error:
            said = f"rsync: [receiver] write failed: {error.strerror} ({error.errno})"
            return subprocess.CompletedProcess(command, 11, "", said)
        return done

    return ran


def attempt(root: Path, at: int, fault: str, operation: Callable[[], None]) -> tuple[bool, bool]:
    """(whether the fault came, whether the operation ended well). Errors in words are awaited."""
    if fault in ("kill", "power cut"):
        return _attempt_in_child(root, at, fault, operation)
    with broken_disk(root, at, fault) as disk:
        try:
            operation()
        except Exception as error:
            if not disk.failed or not _is_worded(error):
                raise
            return True, False
    return disk.failed, True


def _is_worded(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__name__ in ("FleetError", "DiskError")


def _attempt_in_child(
    root: Path, at: int, fault: str, operation: Callable[[], None]
) -> tuple[bool, bool]:
    child = os.fork()
    if child == 0:
        with suppress(BaseException), broken_disk(root, at, fault):
            operation()
            os._exit(WENT_ON)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (KILLED, WENT_ON), f"the operation ended with {code}"
    return code == KILLED, code == WENT_ON


def tree(root: Path) -> dict[str, str | bytes]:
    """Every file and link below `root`; times and the root's name are left out.

    Not locks, and not what was verified: where that cannot be kept, it is verified again.
    """
    found: dict[str, str | bytes] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file() and not path.name.endswith((".lock", ".verified.json")):
            content = path.read_bytes().replace(os.fsencode(root), b"ROOT")
            found[name] = SUM_OF_RECORD.sub(b"SUM", TIME.sub(b"TIME", content))
    return found


def leftovers(found: dict[str, str | bytes]) -> list[str]:
    """What a writer that ended halfway leaves under a name of its own."""
    return [name for name in found if any(part.endswith(".partial") for part in Path(name).parts)]


def without_leftovers(found: dict[str, str | bytes]) -> dict[str, str | bytes]:
    left = set(leftovers(found))
    return {name: content for name, content in found.items() if name not in left}


def survives_each_change(
    template: Path, scratch: Path, fault: str, operation: Callable[[Path], None]
) -> int:
    """Fail each change of `operation` on a copy of `template`, once; repeat it undisturbed.

    It then must have made what it makes undisturbed. Returns how many changes there are.
    """
    whole = scratch / "whole"
    shutil.copytree(template, whole, symlinks=True)
    with broken_disk(whole, 0, fault):
        operation(whole)
    wanted = tree(whole)
    for at in range(1, MOST_CHANGES):
        root = scratch / f"{at}"
        shutil.copytree(template, root, symlinks=True)
        came, ended_well = attempt(root, at, fault, lambda: operation(root))  # noqa: B023
        if not came:
            assert at > 1, "the operation changes nothing"
            return at - 1
        if ended_well:
            assert without_leftovers(tree(root)) == wanted, f"change {at} was lost, nobody said so"
        try:
            with broken_disk(root, 0, fault):
                operation(root)
        except Exception as error:
            if not _is_worded(error):
                raise
            raise AssertionError(f"after change {at} it is never complete: {error}") from error
        made = tree(root)
        assert without_leftovers(made) == wanted, f"after change {at}"
        if fault in ("ENOSPC", "EIO"):
            left = [name for name in leftovers(made) if "incoming/" not in name]
            assert left == [], f"after change {at}"
        shutil.rmtree(root)
    raise AssertionError("the operation has no end")

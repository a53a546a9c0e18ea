"""Runs that wait on the storage node until their results are there; one lock a run and host.

spool/<run_id>/<host>.json        what a visit needs to know, written when the run opens
spool/collected/<run_id>/<host>.json   the same, once its record is stored
On the host: runs/<run_id>/collect.json   what was asked, so that a visit only names the run
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ...base.documents import read_json, sync_directory, write_json_atomic
from ...base.errors import FleetError
from ...base.locks import exclusive_lock
from ...runs.run_id import RUN_ID

COLLECTED = "collected"


def entry_path(storage_root: Path, run_id: str, host: str) -> Path:
    return storage_root / "spool" / run_id / f"{plain(host)}.json"


def write_entry(path: Path, document: dict[str, Any], check: bool = False) -> bool:
    """True when the file had to be written."""
    try:
        if read_json(path) == document:
            return False
    except FleetError:
        pass
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(path, document)
    return True


def entries(storage_root: Path) -> Iterator[tuple[Path, dict[str, Any] | FleetError]]:
    """Every waiting entry, oldest run first; one that cannot be read as the error it is."""
    for path in sorted((storage_root / "spool").glob("*/*.json")):
        if not RUN_ID.match(path.parent.name):
            continue
        try:
            yield path, read_json(path)
        except FleetError as error:
            yield path, error


def is_recorded(storage_root: Path, run_id: str, host: str) -> bool:
    """The sums complete a record: nothing is left to wait for."""
    return (storage_root / "runs" / run_id / host / "SHA256SUMS").exists()


def mark_collected(storage_root: Path, run_id: str, host: str) -> bool:
    """Called by whoever stored the record: controller or visit. False: nothing waited."""
    path = entry_path(storage_root, run_id, host)
    if not path.exists():
        return False
    target = storage_root / "spool" / COLLECTED / run_id / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    sync_directory(target.parent)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
    return True


@contextmanager
def locked(storage_root: Path, run_id: str, host: str, wait: bool = True) -> Iterator[None]:
    """Controller and visit bring a run home one after the other. Refuses at once unless `wait`."""
    folder = storage_root / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(folder / f".{plain(host)}.lock", wait))
        except BlockingIOError:
            raise FleetError(
                f"cannot collect run {run_id} of {host}", "another process is collecting it"
            ) from None
        yield


def plain(host: str) -> str:
    if "/" in host or host.startswith(".") or not host:
        raise FleetError(f"host {host!r} is not allowed", "it must be one file's name")
    return host

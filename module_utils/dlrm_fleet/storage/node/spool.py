"""Runs that the storage node has to collect, until it has their records; a lock per run and host.

spool/<run_id>/<host>.json                what a visit needs to know, written when the run opens
spool/<run_id>/<host>.refusal             why the last visit collected nothing; gone with the entry
spool/collected/<run_id>/<host>.json      the same, once the record is stored
On the host: runs/<run_id>/collect.json   the request, so that a visit need only name the run
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ...base.documents import (
    read_json,
    read_text,
    sync_directory,
    write_atomic,
    write_json_atomic,
)
from ...base.errors import FleetError
from ...base.locks import exclusive_lock
from ...base.wording import printable
from ...results import record
from ...runs.run_id import RUN_ID

COLLECTED = "collected"
REFUSAL = ".refusal"


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


def paths(storage_root: Path) -> list[Path]:
    """The entry of every waiting run and host, oldest first."""
    found = sorted((storage_root / "spool").glob("*/*.json"))
    return [path for path in found if RUN_ID.fullmatch(path.parent.name)]


def keep_refusal(entry: Path, line: str) -> None:
    """Beside the entry, what the last visit said; empty: nothing is kept. Raises DiskError."""
    path = entry.with_suffix(REFUSAL)
    if line and entry.exists():
        write_atomic(path, f"{line}\n".encode())
    else:
        path.unlink(missing_ok=True)


def refusals(storage_root: Path) -> list[str]:
    """A sentence for each run and host that the last visit could not collect, oldest first."""
    found = []
    for entry in paths(storage_root):
        said = read_text(entry.with_suffix(REFUSAL))
        if said:
            what = f"Run {entry.parent.name} of {entry.stem} is not collected"
            found.append(printable(f"{what}. The storage node's last visit: {said.strip()}"))
    return found


def is_recorded(storage_root: Path, run_id: str, host: str) -> bool:
    """True if the record is complete; FleetError if it is damaged."""
    return record.is_complete(record.run_folder(storage_root, run_id, host))


def mark_collected(storage_root: Path, run_id: str, host: str) -> bool:
    """Called by whoever stored the record: controller or visit. False: there was no entry."""
    path = entry_path(storage_root, run_id, host)
    if not path.exists():
        return False
    target = storage_root / "spool" / COLLECTED / run_id / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    path.with_suffix(REFUSAL).unlink(missing_ok=True)
    sync_directory(target.parent)
    # Not empty: other hosts of the run wait. Gone: another process was as late as this one.
    with suppress(OSError):
        path.parent.rmdir()
    return True


@contextmanager
def locked(storage_root: Path, run_id: str, host: str, wait: bool = True) -> Iterator[None]:
    """Only one process collects a run of a host. FleetError at once if one does, unless `wait`."""
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
        raise FleetError(
            f"cannot use host {host!r}",
            "its name becomes a file name, so it must not be empty, begin with '.' or contain '/'",
        )
    return host

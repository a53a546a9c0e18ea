"""Records on the storage node, read by everyone who shows them: each alone, so that one bad of many
is named and the others are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..base.wording import printable
from ..judge.loadgen_log import SUMMARY_NAME
from ..wire.fields import RUN_ID
from ..wire.run_record import RunRecord, run_record
from ..wire.strict_json import Malformed, read, read_bytes
from . import sums

# Written beside the hosts' folders.
RESERVED_HOSTS = ("verdict.json",)
# It becomes a folder's name, and stands in messages.
HOST = re.compile(r"(?![.-])[^/\x00-\x1f\x7f]{1,253}")
SUMMARY_BYTES = 1024**2


def run_folder(storage_root: Path, run_id: str, host: str) -> Path:
    """Where the record of a run and host lies. FleetError for what is no folder's name."""
    if not RUN_ID.fullmatch(run_id):
        raise FleetError(
            f"cannot use run_id {run_id!r}",
            "it becomes a folder's name, so it must be YYYYmmddTHHMMSSZ-<6 hex digits>",
        )
    if not HOST.fullmatch(host) or host in RESERVED_HOSTS:
        raise FleetError(
            f"cannot use host {host!r}",
            "it becomes a folder's name, so it must not contain '/' or a control character, begin"
            f" with '.' or '-', be empty or {' or '.join(RESERVED_HOSTS)}",
        )
    return storage_root / "runs" / run_id / host


def recorded(folder: Path) -> RunRecord | None:
    """What run.json of the folder says; None where there is none. Malformed if it says wrong.

    Whether the folder's files are as recorded, says verified().
    """
    path = folder / sums.RUN_NAME
    what = f"cannot use the record {str(path)!r}"
    try:
        return run_record(read(path), what, folder.parent.name, folder.name)
    except FileNotFoundError:
        return None


def verified(folder: Path, again: bool = False, keep: bool = True) -> RunRecord | None:
    """The record if its folder is as it was recorded; None where there is none, else FleetError.

    Every file is hashed where SHA256SUMS or run.json is not what was verified, or with `again`.
    `keep`: beside the folder, what was verified.
    """
    record = recorded(folder)
    if record is None:
        return None
    if again or not sums.is_verified(folder):
        if not sums.is_complete(folder):
            raise FleetError(
                f"the record {str(folder)!r} is not complete",
                f"its {sums.SUMS_NAME} is missing or torn",
                "The same command completes it, and so does the storage node's next visit",
            )
        if keep:
            sums.keep_verified(folder)
    return record


def one(
    storage_root: Path, run_id: str, host: str, again: bool = False, keep: bool = True
) -> dict[str, Any]:
    """{run, path, summary} of a recorded run; FleetError when the storage node has none."""
    folder = run_folder(storage_root, run_id, host)
    record = verified(folder, again, keep)
    path = folder / sums.RUN_NAME
    if record is None:
        raise FleetError(
            f"no record of run {run_id} for host {host}",
            f"the storage node has no {str(path)!r}",
            "Leave this host out with --limit, or leave run_id out to measure it anew",
        )
    measured = record.document["performance"] is not None
    return {
        "run": record.document,
        "path": str(path),
        "summary": _summary_text(folder) if measured else "",
    }


def newest(
    storage_root: Path, again: bool = False, keep: bool = True
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """(newest run.json of each host, a summary of each run, what could not be read).

    Texts of hosts are escaped, so that they can be shown.
    """
    unreadable: list[str] = []
    latest: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {}
    runs = []
    for record in _all(storage_root, again, keep, unreadable):
        when = (record.opened_at, record.judged.run_id)
        runs.append((*when, record.host, _summary(record)))
        if record.host not in latest or latest[record.host][0] < when:
            latest[record.host] = (when, record.document)
    runs.sort(key=lambda run: run[:3], reverse=True)
    return (
        [_shown(latest[host][1]) for host in sorted(latest)],
        [_shown(summary) for *_when, summary in runs],
        unreadable,
    )


def _all(storage_root: Path, again: bool, keep: bool, unreadable: list[str]) -> Iterator[RunRecord]:
    for path in sorted((storage_root / "runs").glob(f"*/*/{sums.RUN_NAME}")):
        try:
            run_folder(storage_root, path.parent.parent.name, path.parent.name)
            record = verified(path.parent, again, keep)
        except (FleetError, OSError) as error:
            unreadable.append(printable(str(error)))
        else:
            if record is not None:
                yield record


def _summary_text(folder: Path) -> str:
    """LoadGen's own summary; empty where it cannot be read."""
    try:
        content = read_bytes(folder / "performance" / SUMMARY_NAME, SUMMARY_BYTES)
    except (Malformed, OSError):
        return ""
    return printable(content.decode("utf-8", "replace"))


def _summary(record: RunRecord) -> dict[str, Any]:
    judged = record.judged
    return {
        "run_id": judged.run_id,
        "host": record.host,
        "opened_at": record.opened_at,
        "precision": judged.precision,
        "profile": judged.profile,
        "samples_per_second": judged.samples_per_second,
        "valid": judged.valid,
        "auc": judged.auc,
        "status": judged.status,
        "grade": judged.grade,
        "marks": list(judged.marks),
    }


def _shown(value: Any) -> Any:
    """The same with every text escaped."""
    if isinstance(value, dict):
        return {printable(name): _shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return printable(value) if isinstance(value, str) else value

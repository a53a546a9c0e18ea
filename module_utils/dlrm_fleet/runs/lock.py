"""The two documents of a run on a host: run.lock, renewed by each poll, and opened.json.

run.lock is rewritten every few seconds, so a power cut may leave it empty. opened.json holds the
same except the lease and is written only when the run is opened or adopted: a damaged run.lock is
restored from it. All times are by the host's own clock, never by the controller's.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..base.documents import write_json_atomic
from ..base.errors import FleetError, disk_error
from ..base.owner import Owner, inherit_owner
from ..base.times import format_time, utc_now
from ..wire.documents import read_strictly
from ..wire.fields import Fields
from .lease import LEASE

FIELDS = {"run_id", "request_sha256", "controller", "opened_at", "deadline"}
CONTROLLER_FIELDS = {"id", "machine_id", "pid", "pid_started"}


class LockDamaged(FleetError):
    """Neither run.lock nor opened.json can be read."""


def read_lock(folder: Path) -> dict[str, Any]:
    """run.lock, or what opened.json says of it. LockDamaged when neither can be read."""
    try:
        return _checked(folder / "run.lock", {*FIELDS, "lease_until"})
    except LockDamaged as damage:
        try:
            opened = _checked(folder / "opened.json", FIELDS)
        except LockDamaged:
            raise damage from None
    written = max(_written(folder / name) for name in ("run.lock", "opened.json"))
    # The holder may still live: it gets as much time as after any other renewal.
    return {**opened, "lease_until": format_time(written + LEASE), "recovered": True}


def write_lock(folder: Path, lock: dict[str, Any], owner: Owner | None) -> None:
    """With `owner` the run is opened or adopted: both documents. Without: run.lock, renewed."""
    lock = {name: value for name, value in lock.items() if name != "recovered"}
    _set_damaged_aside(folder)
    names = ["run.lock"]
    if owner is not None:
        opened = {name: value for name, value in lock.items() if name != "lease_until"}
        write_json_atomic(folder / "opened.json", opened)
        names.append("opened.json")
        # What a killed holder left. Nobody else writes: runs/ is locked.
        for half in folder.glob("*.partial"):
            with suppress(OSError):
                half.unlink()
    write_json_atomic(folder / "run.lock", lock)
    for name in names:
        inherit_owner(folder / name)


def unreadable(folder: Path, damage: LockDamaged) -> dict[str, Any]:
    """What is said of a run whose documents are both damaged."""
    when = format_time(max(_written(folder / name) for name in ("run.lock", "opened.json")))
    nobody = {"id": "an unknown controller", "machine_id": "", "pid": 0, "pid_started": None}
    return {
        "run_id": folder.name,
        "request_sha256": "",
        "controller": nobody,
        **dict.fromkeys(("opened_at", "deadline", "lease_until"), when),
        "damage": str(damage),
    }


def _set_damaged_aside(folder: Path) -> None:
    """Renames damaged documents, so that someone can find out what happened."""
    for name in ("run.lock", "opened.json"):
        path = folder / name
        try:
            _checked(path, FIELDS)
        except LockDamaged:
            if not path.is_symlink() and not path.exists():
                continue
            aside = path.with_name(f"{name}.damaged-{utc_now():%Y%m%dT%H%M%SZ}")
            try:
                path.replace(aside)
            except OSError as error:
                raise disk_error(f"cannot set {str(path)!r} aside", error) from None


def _checked(path: Path, wanted: set[str]) -> dict[str, Any]:
    """The document, complete; LockDamaged when it is not.

    A lock of another release is not damaged: read_json refuses it.
    """
    try:
        document = read_strictly(path, schema_version=None)
    except FleetError as error:
        raise LockDamaged(error.what, error.why, _remedy(path)) from None
    if document.get("schema_version") is not None:
        document = read_strictly(path)
    lacking = wanted - set(document)
    controller = document.get("controller")
    if not lacking and not (isinstance(controller, dict) and set(controller) >= CONTROLLER_FIELDS):
        lacking = {"controller"}
    if lacking:
        why = f"it is not complete ({', '.join(sorted(lacking))} is missing)"
        raise LockDamaged(f"cannot read {str(path)!r}", why, _remedy(path))
    try:
        _check_types(Fields(document, f"cannot read {str(path)!r}"))
    except FleetError as error:
        raise LockDamaged(error.what, error.why, _remedy(path)) from None
    return document


def _check_types(lock: Fields) -> None:
    """Malformed unless each field is what is computed with. The run's user can write the file."""
    lock.run_id("run_id")
    lock.text("request_sha256")
    for name in ("opened_at", "deadline", "lease_until"):
        # opened.json has no lease.
        if name in lock.values:
            lock.time(name)
    controller = lock.object("controller")
    controller.line("id")
    controller.line("machine_id")
    controller.integer("pid", 0, 2**32)
    if controller.values["pid_started"] is not None:
        controller.integer("pid_started", 0, 2**63)


def _remedy(path: Path) -> str:
    return f"Continue that run with -e run_id={path.parent.name}, or remove {path.parent}"


def _written(path: Path) -> datetime:
    """When it was written, by the host's clock; 1970 when it is not there."""
    try:
        return datetime.fromtimestamp(int(path.stat().st_mtime), timezone.utc)
    except OSError:
        return datetime.fromtimestamp(0, timezone.utc)

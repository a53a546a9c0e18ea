"""A run on one host: its lock with a lease, and who may hold it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..base.documents import write_json_atomic
from ..base.errors import FleetError, disk_error
from ..base.locks import exclusive_lock
from ..base.owner import Owner
from ..base.times import format_time, utc_now
from ..wire.documents import read_strictly
from .holder import holder, is_same_controller, machine_id, process_started
from .lease import LEASE, lease_is_fresh, lease_lives
from .lock import LockDamaged, read_lock, unreadable, write_lock
from .run_id import RUN_ID

# Every run makes this stage itself. Once it is done, the run only waits to be collected.
MEASURED_STAGE = "performance"


def state(
    lock: dict[str, Any],
    closed: bool,
    now: datetime,
    here: str,
    gone: Sequence[dict[str, Any]] = (),
) -> str:
    """closed, orphaned (its process is gone), lapsed (its lease ended) or live.

    `here`: machine_id() of this host. `gone`: controllers that are known to have ended, since they
    ran on the caller's machine.
    """
    if closed:
        return "closed"
    controller = lock["controller"]
    if any(is_same_controller(controller, one) for one in gone):
        return "orphaned"
    if controller["machine_id"] == here:
        started = process_started(controller["pid"])
        if started is None or started != controller["pid_started"]:
            return "orphaned"
    return "live" if lease_lives(lock, now) else "lapsed"


class Runs:
    """<root>/runs/ of this host; `gone` as in state()."""

    def __init__(self, root: Path, gone: Sequence[dict[str, Any]] = ()) -> None:
        self.root = root
        self.gone = gone
        self.path = root / "runs"

    def lock_path(self, run_id: str) -> Path:
        return self.path / run_id / "run.lock"

    def is_closed(self, run_id: str) -> bool:
        return (self.path / run_id / "closed.json").exists()

    def is_open(self, run_id: str) -> bool:
        """Whether any controller has opened it here."""
        folder = self.path / run_id
        return (folder / "run.lock").exists() or (folder / "opened.json").exists()

    def read(self, run_id: str) -> dict[str, Any]:
        return read_lock(self.path / run_id)

    def listed(self) -> list[dict[str, Any]]:
        """Every run, oldest first, with its state now."""
        if not self.path.is_dir():
            return []
        now, here = utc_now(), machine_id()
        try:
            names = sorted(
                entry.name for entry in self.path.iterdir() if RUN_ID.fullmatch(entry.name)
            )
        except OSError as error:
            raise disk_error(f"cannot list {str(self.path)!r}", error) from None
        measured = self._measured()
        found = []
        for name in names:
            if not self.is_open(name):
                continue
            try:
                lock = self.read(name)
                now_is = state(lock, self.is_closed(name), now, here, self.gone)
            except LockDamaged as damage:
                lock = unreadable(self.path / name, damage)
                now_is = "closed" if self.is_closed(name) else "damaged"
            run = {field: value for field, value in lock.items() if field != "schema_version"}
            found.append({**run, "state": now_is, "measured": name in measured})
        return found

    def busy(self, controller: dict[str, Any]) -> dict[str, Any] | None:
        """A live run of another controller."""
        for run in self.listed():
            if run["state"] == "live" and not is_same_controller(run["controller"], controller):
                return run
        return None

    def _measured(self) -> set[str]:
        found = set()
        for manifest in self.root.glob(f"stages/{MEASURED_STAGE}/*/stage.json"):
            try:
                found.add(str(read_strictly(manifest).get("run_id")))
            except FleetError:
                continue
        return found

    def open(
        self,
        run_id: str,
        request_sha256: str,
        controller: dict[str, Any],
        deadline_seconds: int,
        owner: Owner,
        check: bool = False,
    ) -> tuple[bool, dict[str, Any]]:
        """Make or take over the run: (changed, lock). FleetError when another one is live."""
        if not check:
            owner.make_directory(self.path)
        with nullcontext() if check else exclusive_lock(self.path):
            foreign = self.busy(controller)
            if foreign is not None:
                raise FleetError(f"cannot open run {run_id}", *busy(foreign))
            now = utc_now()
            lock = {
                "schema_version": 1,
                "run_id": run_id,
                "request_sha256": request_sha256,
                "controller": controller,
                "opened_at": format_time(now),
                "deadline": format_time(now + timedelta(seconds=deadline_seconds)),
                "lease_until": format_time(now + LEASE),
            }
            if self.is_open(run_id):
                present = self._present(run_id, lock)
                if self.is_closed(run_id):
                    # It is still open on other hosts: whoever adopted it there holds it here, too.
                    if not check and not is_same_controller(present["controller"], controller):
                        write_lock(self.path / run_id, {**present, "controller": controller}, owner)
                    return False, present
                _check_request(present, request_sha256)
                if is_same_controller(present["controller"], controller):
                    if not check:
                        self._renew(present, now)
                    return False, present
                # The deadline counts from now: the old one may have passed while nobody watched.
                lock["opened_at"] = present["opened_at"]
            if not check:
                owner.make_directory(self.path / run_id)
                write_lock(self.path / run_id, lock, owner)
            return True, lock

    def _present(self, run_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """The lock. If it is damaged, whoever named the run with -e run_id is believed."""
        try:
            return self.read(run_id)
        except LockDamaged as damage:
            known = unreadable(self.path / run_id, damage)
            return {**known, "request_sha256": wanted["request_sha256"]}

    def close(
        self, run_id: str, controller: dict[str, Any], owner: Owner, check: bool = False
    ) -> bool:
        """Mark it as recorded; True: it was not. Only its holder may: another may be measuring."""
        if self.is_closed(run_id):
            return False
        _check_holder(self.read(run_id), controller)
        if check:
            return True
        with exclusive_lock(self.path):
            _check_holder(self.read(run_id), controller)
            path = self.path / run_id / "closed.json"
            document = {"schema_version": 1, "run_id": run_id, "closed_at": format_time(utc_now())}
            write_json_atomic(path, document)
            owner.take(path)
        return True

    def renew(self, run_id: str, controller: dict[str, Any]) -> None:
        """Called by each poll. FleetError when another controller has taken the run over."""
        now = utc_now()
        present = self.read(run_id)
        _check_holder(present, controller)
        if self.is_closed(run_id):
            return
        if lease_is_fresh(present, now) and not present.get("recovered"):
            return
        with exclusive_lock(self.path):
            # Read again: it may have been adopted between the two.
            again = self.read(run_id)
            _check_holder(again, controller)
            self._renew(again, now)

    def _renew(self, lock: dict[str, Any], now: datetime) -> None:
        lock["lease_until"] = format_time(now + LEASE)
        write_lock(self.path / lock["run_id"], lock, None)


def busy(run: dict[str, Any]) -> tuple[str, str]:
    """Why and what to do, for a live run of somebody else."""
    return (
        f"run {run['run_id']} is held by {holder(run)} since {run['opened_at']},"
        f" lease until {run['lease_until']}",
        "Stop that run, or wait for its end with -e run_wait=10m",
    )


def _check_holder(lock: dict[str, Any], controller: dict[str, Any]) -> None:
    if not is_same_controller(lock["controller"], controller):
        raise FleetError(
            f"this controller no longer holds run {lock['run_id']}",
            f"{holder(lock)} adopted it after this controller's lease had ended",
            "Follow that run there",
        )


def _check_request(run: dict[str, Any], request_sha256: str) -> None:
    if run["request_sha256"] != request_sha256:
        raise FleetError(
            f"cannot use run {run['run_id']}",
            f"it was opened for another request (its sha256 is {run['request_sha256'][:12]},"
            f" this one's is {request_sha256[:12]})",
            "Use the variables of that run, or leave run_id out",
        )


COLLECT_NAME = "collect.json"

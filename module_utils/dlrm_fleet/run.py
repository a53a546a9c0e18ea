"""A run on one host: its lock with a lease, and who may hold it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .documents import (
    FleetError,
    format_time,
    parse_time,
    read_json,
    sha256_text,
    utc_now,
    write_json_atomic,
)
from .request import RUN_ID
from .stage_folder import Owner, inherit_owner

LEASE = timedelta(seconds=90)
# A poll within this of the last renewal writes nothing.
RENEW_AFTER = timedelta(seconds=10)
# The stage that a run measures anew; with it the run only waits to be collected.
MEASURED_STAGE = "performance"


def machine_id() -> str:
    """Equal exactly where process ids can be compared: machine, boot and pid namespace."""
    parts = []
    for source in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            parts.append(Path(source).read_text().strip())
        except OSError:
            parts.append("")
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    # Hashed: machine-id(5) asks not to publish it.
    return sha256_text(" ".join(parts))[:32]


def process_started(pid: int) -> int | None:
    """Clock ticks since boot (field 22 of /proc/<pid>/stat, proc(5)); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def is_same_controller(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("id", "machine_id", "pid", "pid_started"))


def holder(run: dict[str, Any]) -> str:
    """The controller in words: user@host (pid 12)."""
    return f"{run['controller']['id']} (pid {run['controller']['pid']})"


def state(lock: dict[str, Any], closed: bool, now: datetime, here: str) -> str:
    """closed; orphaned: its process is gone; lapsed: nobody renewed; live."""
    if closed:
        return "closed"
    controller = lock["controller"]
    if controller["machine_id"] == here:
        started = process_started(controller["pid"])
        if started is None or started != controller["pid_started"]:
            return "orphaned"
    return "live" if parse_time(lock["lease_until"]) >= now else "lapsed"


class Runs:
    """<root>/runs/ of this host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "runs"

    def lock_path(self, run_id: str) -> Path:
        return self.path / run_id / "run.lock"

    def is_closed(self, run_id: str) -> bool:
        return (self.path / run_id / "closed.json").exists()

    def read(self, run_id: str) -> dict[str, Any]:
        return read_json(self.lock_path(run_id))

    def listed(self) -> list[dict[str, Any]]:
        """Every run, oldest first, with its state now."""
        if not self.path.is_dir():
            return []
        now, here = utc_now(), machine_id()
        names = sorted(entry.name for entry in self.path.iterdir() if RUN_ID.match(entry.name))
        measured = self._measured()
        found = []
        for name in names:
            if not self.lock_path(name).exists():
                continue
            lock = self.read(name)
            run = {field: value for field, value in lock.items() if field != "schema_version"}
            run["state"] = state(lock, self.is_closed(name), now, here)
            run["measured"] = name in measured
            found.append(run)
        return found

    def _measured(self) -> set[str]:
        found = set()
        for manifest in self.root.glob(f"stages/{MEASURED_STAGE}/*/stage.json"):
            try:
                found.add(str(read_json(manifest).get("run_id")))
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
        """Make or take over the run; (changed, lock). Raises when somebody else is at work."""
        if check:
            return self._open(run_id, request_sha256, controller, deadline_seconds, owner, True)
        owner.make_directory(self.path)
        with self._exclusive():
            return self._open(run_id, request_sha256, controller, deadline_seconds, owner, False)

    def _open(
        self,
        run_id: str,
        request_sha256: str,
        controller: dict[str, Any],
        deadline_seconds: int,
        owner: Owner,
        check: bool,
    ) -> tuple[bool, dict[str, Any]]:
        for run in self.listed():
            if run["state"] == "live" and not is_same_controller(run["controller"], controller):
                raise FleetError(f"cannot open run {run_id}", *busy(run))
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
        if self.lock_path(run_id).exists():
            present = self.read(run_id)
            if self.is_closed(run_id):
                return False, present
            _check_request(present, request_sha256)
            if is_same_controller(present["controller"], controller):
                if not check:
                    self._renew(present, now)
                return False, present
            # The adopter's deadline counts from now: the old one may have passed unwatched.
            lock["opened_at"] = present["opened_at"]
        if not check:
            owner.make_directory(self.lock_path(run_id).parent)
            write_json_atomic(self.lock_path(run_id), lock)
            owner.take(self.lock_path(run_id))
        return True, lock

    def close(self, run_id: str, owner: Owner, check: bool = False) -> bool:
        if self.is_closed(run_id):
            return False
        self.read(run_id)
        if not check:
            path = self.path / run_id / "closed.json"
            document = {"schema_version": 1, "run_id": run_id, "closed_at": format_time(utc_now())}
            write_json_atomic(path, document)
            owner.take(path)
        return True

    def renew(self, run_id: str, controller: dict[str, Any]) -> None:
        """Called by each poll; refuses a controller that lost the run to another one."""
        if self.is_closed(run_id):
            return
        now = utc_now()
        present = self.read(run_id)
        if not is_same_controller(present["controller"], controller):
            raise FleetError(
                f"run {run_id} is no longer ours",
                f"it was adopted by {holder(present)} after our lease had ended",
                "Watch it there; this controller stops",
            )
        if parse_time(present["lease_until"]) - now <= LEASE - RENEW_AFTER:
            with self._exclusive():
                # Read again: it may have been adopted between the two.
                again = self.read(run_id)
                if is_same_controller(again["controller"], controller):
                    self._renew(again, now)

    def _renew(self, lock: dict[str, Any], now: datetime) -> None:
        path = self.lock_path(lock["run_id"])
        lock["lease_until"] = format_time(now + LEASE)
        write_json_atomic(path, lock)
        inherit_owner(path)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def busy(run: dict[str, Any]) -> tuple[str, str]:
    """Why and what to do, for a live run of somebody else."""
    return (
        f"run {run['run_id']} is held by {holder(run)} since {run['opened_at']},"
        f" lease until {run['lease_until']}",
        "Wait, or stop that run",
    )


def _check_request(run: dict[str, Any], request_sha256: str) -> None:
    if run["request_sha256"] != request_sha256:
        raise FleetError(
            f"cannot use run {run['run_id']}",
            f"it was opened for another request (sha256 {run['request_sha256'][:12]},"
            f" this one is {request_sha256[:12]})",
            "Give the variables of that run, or leave run_id out",
        )

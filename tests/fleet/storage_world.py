"""Hosts that hold a finished run (real LoadGen logs), a storage node with the fleet's keys."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from .engine import REPOSITORY, docker
from .hosts import USER, Fleet, Host

sys.path.insert(0, str(REPOSITORY / "tests/unit/library"))

import made_run

#: Tests of this package import it from here.
__all__ = ["made_run"]

ROOT = "/srv/dlrm"
STORE = "/srv/dlrm-storage"
KEYS = "/etc/dlrm-fleet/storage/test"
PROGRAM = "/opt/dlrm-fleet/storage.pyz"
RUN_ID = made_run.RUN_ID
SHA256 = "a" * 64
# An int8 model large enough for a stream of its own, which can be cut.
INT8 = bytes(range(256)) * (48 * 4096)
INT8_SHA256 = hashlib.sha256(INT8).hexdigest()


@contextmanager
def storage_fleet(folder: Path, count: int, name: str) -> Iterator[Fleet]:
    """Hosts without the benchmark's image: nothing is measured here."""
    fleet = Fleet(folder, count, name, prepared=False)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.close_connections()
        fleet.remove()


def time_text(seconds: float) -> str:
    """The time in so many seconds, in run.lock's format."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def variables(**more: Any) -> dict[str, Any]:
    """Variables that earlier plays would have set, with the fleet's own keys."""
    return {
        "precision": "int8",
        "dlrm_storage_key_file": "",
        "dlrm_storage_fleet": "test",
        "dlrm_run_id": RUN_ID,
        "dlrm_request": made_run.request(),
        "dlrm_request_sha256": SHA256,
        "dlrm_controller": {"id": "test@controller"},
        "dlrm_run_opened_at": "2026-01-31T12:00:00Z",
        "dlrm_image_name": made_run.IMAGE,
        "dlrm_image_id": "sha256:1",
        "dlrm_host_owner": "1000:1000",
        **more,
    }


def write_lock(folder: Path, lease: float, deadline: float) -> None:
    run = folder / "runs" / RUN_ID
    run.mkdir(parents=True, exist_ok=True)
    lock = {
        "schema_version": 1,
        "run_id": RUN_ID,
        "request_sha256": SHA256,
        "controller": {"id": "test@controller", "machine_id": "x", "pid": 1, "pid_started": 1},
        "opened_at": "2026-01-31T12:00:00Z",
        "deadline": time_text(deadline),
        "lease_until": time_text(lease),
    }
    (run / "run.lock").write_text(json.dumps(lock))


def give_run(
    host: Host,
    folder: Path,
    until: str = "performance",
    lease: float = -60,
    deadline: float = 3600,
    large: bool = False,
) -> None:
    """Make the host's root anew, with every stage up to `until`; `large`: the model is INT8."""
    root = folder / f"root-{host.name}"
    shutil.rmtree(root, ignore_errors=True)
    outputs = made_run.outputs
    larger = {"calibrate": {"dlrm_int8.pt": INT8}} if large else {}
    with mock.patch.object(made_run, "outputs", lambda name: larger.get(name) or outputs(name)):
        made_run.make_root(root, until=until)
    write_lock(root, lease, deadline)
    put(host, root)


def put(host: Host, root: Path) -> None:
    host.run("rm", "-rf", ROOT)
    docker("cp", str(root), f"{host.container}:{ROOT}")
    host.run("chown", "-R", f"{USER}:{USER}", ROOT)


def rate(host: Host, limit: str | None) -> None:
    """How fast a machine sends; None: as fast as it can."""
    device = host.shell("ip -o route show default").split(" dev ")[1].split()[0]
    host.shell(f"tc qdisc del dev {device} root 2>/dev/null || true")
    if limit is not None:
        host.shell(f"tc qdisc add dev {device} root tbf rate {limit} burst 64kb latency 400ms")


def size(host: Host, path: str) -> int:
    return int(host.shell(f"stat -c %s {path} 2>/dev/null || true").strip() or 0)


def _package(folder: Path) -> Path:
    copy = folder / "package"
    if not copy.exists():
        shutil.copytree(REPOSITORY / "module_utils/dlrm_fleet", copy)
    return copy


def start_play(fleet: Fleet, entry: str, **more: Any) -> subprocess.Popen[str]:
    asked = fleet.command(
        playbook="tests/fleet/playbooks/storage.yml",
        test_entry=entry,
        # The program as of the first play, so that an edit meanwhile does not count as "changed".
        dlrm_storage_package=str(_package(fleet.folder)),
        dlrm_storage_packed=str(fleet.folder / "storage.pyz"),
        **variables(**more),
    )
    return fleet.popen(asked)


def play(fleet: Fleet, entry: str, succeeds: bool = True, **more: Any) -> str:
    process = start_play(fleet, entry, **more)
    output, _ = process.communicate(timeout=900)
    assert (process.returncode == 0) is succeeds, f"exit {process.returncode}\n{output[-6000:]}"
    return output


def visit(fleet: Fleet) -> tuple[int, str]:
    """The timer fires once: exactly the command of its unit."""
    ended = subprocess.run(
        [
            *("docker", "exec", fleet.storage.container),
            *("/usr/bin/python3", "-I", PROGRAM, "visit", STORE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def ssh(fleet: Fleet, host: Host, key: str, *arguments: str, options: tuple[str, ...] = ()) -> Any:
    """From the storage node to the host with one of the fleet's keys; the finished process."""
    words = ["ssh", "-F", "none", "-i", f"{KEYS}/{key}"]
    for option in ("BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={KEYS}/known_hosts"):
        words += ["-o", option]
    return subprocess.run(
        [
            *("docker", "exec", fleet.storage.container, *words, *options),
            *(f"{USER}@{host.address}", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

"""A round of the storage node, which is the benchmark host as well: real rsync, no SSH."""

from __future__ import annotations

import copy
import fcntl
import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.commands import run_command
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.runs.runs import COLLECT_NAME
from ansible.module_utils.dlrm_fleet.storage.node import spool
from ansible.module_utils.dlrm_fleet.storage.node.store import StageStore
from ansible.module_utils.dlrm_fleet.storage.node.visit import visit_all
from ansible.module_utils.dlrm_fleet.wire.stage_document import stage_document
from made_run import CATALOGUE, IMAGE, RUN_ID, make_root, request

HOST = "arm-01"


class World:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.storage = folder / "storage"
        self.folder = self.storage / "runs" / RUN_ID / HOST

    def opened(self, until: str = "performance", lease: float = -60, deadline: float = 60) -> None:
        make_root(self.root, until=until)
        run = self.root / "runs" / RUN_ID
        run.mkdir(parents=True)
        asked = {"catalogue": CATALOGUE, "request": request(), "image": {"name": IMAGE, "id": "i"}}
        spool.write_entry(run / COLLECT_NAME, {"schema_version": 1, **asked})
        lock = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "request_sha256": "a" * 64,
            "controller": {"id": "x@y", "machine_id": "x", "pid": 1, "pid_started": 1},
            "opened_at": "2026-01-31T12:00:00Z",
            "deadline": format_time(utc_now() + timedelta(seconds=deadline)),
            "lease_until": format_time(utc_now() + timedelta(seconds=lease)),
        }
        (run / "run.lock").write_text(json.dumps(lock))
        entry = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "host": HOST,
            "source": None,
            "host_root": str(self.root),
            "request": request(),
            "request_sha256": "a" * 64,
            "controller": "x@y",
            "opened_at": lock["opened_at"],
            "image": asked["image"],
            "streams": 2,
        }
        spool.write_entry(spool.entry_path(self.storage, RUN_ID, HOST), entry)

    def visit(self) -> list[tuple[str, bool]]:
        return list(visit_all(self.storage, run_command))

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return found

    def waits(self) -> bool:
        return spool.entry_path(self.storage, RUN_ID, HOST).exists()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_finished_run_is_recorded_once(world: World) -> None:
    world.opened()
    [(line, good)] = world.visit()
    assert good, line
    assert f"{RUN_ID} {HOST}: collected, passed" in line
    assert world.record()["verdict"]["status"] == "passed"
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=world.folder, check=True)
    assert not world.waits()
    assert world.visit() == []


def test_a_living_controller_is_left_its_run(world: World) -> None:
    world.opened(lease=80)
    assert world.visit() == [
        (f"{RUN_ID} {HOST}: its controller is at work and collects it", True),
    ]
    assert world.waits()
    assert not world.folder.exists()


def test_an_unfinished_run_has_until_its_deadline(world: World) -> None:
    world.opened(until="accuracy")
    assert world.visit() == [(f"{RUN_ID} {HOST}: not finished yet", True)]
    assert world.waits()


def test_what_an_unfinished_run_left_comes_home_unrecorded(world: World) -> None:
    """The host may end at its deadline, and the same command may still finish the run."""
    world.opened(until="accuracy", deadline=-3600)
    [(line, good)] = world.visit()
    assert good, line
    assert "unfinished at its deadline" in line
    assert (world.folder / "accuracy/accuracy.txt").is_file()
    assert not (world.folder / "run.json").exists()
    assert world.waits()
    assert "0.0 MiB transferred" in world.visit()[0][0]


def test_a_record_that_lies_there_ends_the_waiting(world: World) -> None:
    world.opened()
    entry = spool.entry_path(world.storage, RUN_ID, HOST).read_bytes()
    world.visit()
    path = spool.entry_path(world.storage, RUN_ID, HOST)
    path.parent.mkdir()
    path.write_bytes(entry)
    before = (world.folder / "run.json").stat().st_mtime_ns
    assert world.visit() == [(f"{RUN_ID} {HOST}: recorded already", True)]
    assert (world.folder / "run.json").stat().st_mtime_ns == before
    assert not world.waits()


@pytest.mark.parametrize("torn", [b"", b"\0" * 200, b"0123"])
def test_a_record_whose_sums_a_power_cut_tore_is_completed(world: World, torn: bytes) -> None:
    world.opened()
    entry = spool.entry_path(world.storage, RUN_ID, HOST)
    waiting = entry.read_bytes()
    world.visit()
    sums = world.folder / "SHA256SUMS"
    whole = sums.read_bytes()
    sums.chmod(0o644)
    sums.write_bytes(torn)
    entry.parent.mkdir()
    entry.write_bytes(waiting)
    [(line, good)] = world.visit()
    assert good, line
    assert "collected, passed" in line
    assert sums.read_bytes() == whole
    assert not world.waits()


def test_a_record_that_was_changed_is_named_and_nothing_replaces_it(world: World) -> None:
    world.opened()
    entry = spool.entry_path(world.storage, RUN_ID, HOST)
    waiting = entry.read_bytes()
    world.visit()
    summary = world.folder / "performance" / "mlperf_log_summary.txt"
    summary.chmod(0o644)
    summary.write_text("Samples per second: 999999\n")
    entry.parent.mkdir()
    entry.write_bytes(waiting)
    [(line, good)] = world.visit()
    assert not good
    assert "is damaged: 'performance/mlperf_log_summary.txt' does not have the sha256" in line
    assert summary.read_text() == "Samples per second: 999999\n"
    assert world.waits()


def test_the_controller_at_the_same_run_is_not_disturbed(world: World) -> None:
    world.opened()
    with spool.locked(world.storage, RUN_ID, HOST):
        [(line, good)] = world.visit()
    assert not good
    assert "another process is collecting it" in line
    assert world.waits()


def test_a_file_that_is_not_what_was_promised_keeps_the_run_waiting(world: World) -> None:
    world.opened()
    [path] = world.root.glob("stages/performance/*/mlperf_log_detail.txt")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    [(line, good)] = world.visit()
    assert not good
    assert "refused" in line
    assert world.waits()
    assert not (world.folder / "run.json").exists()
    path.write_bytes(data)
    assert world.visit()[0][1]
    assert world.record()["verdict"]["status"] == "passed"


def test_one_torn_entry_does_not_hold_up_the_others(world: World) -> None:
    world.opened()
    (world.storage / "spool" / RUN_ID / "a.json").write_text("{")
    torn, good = sorted(world.visit())
    assert not torn[1]
    assert "truncated" in torn[0]
    assert good[1], good


def test_a_lock_of_a_killed_visit_holds_nobody_up(world: World) -> None:
    world.opened()
    lock = world.storage / "runs" / RUN_ID / f".{HOST}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
    assert world.visit()[0][1]


def test_a_stage_with_other_bytes_is_refused_and_its_run_recorded(world: World) -> None:
    """Another host's model lies under the same key. It stays, and the visit names both makers."""
    world.opened()
    [manifest] = world.root.glob("stages/calibrate/*/stage.json")
    document = json.loads(manifest.read_text())
    other = copy.deepcopy(document)
    other["run_id"] = "20260129T120000Z-0a0a0a"
    other["outputs"][0]["sha256"] = "0" * 64
    StageStore(world.storage).keep(stage_document(other, "cannot use it", STAGES), "arm-02")
    [(line, good)] = world.visit()
    assert good, line
    assert "collected, passed" in line
    assert "run 20260129T120000Z-0a0a0a on arm-02" in line
    assert f"run {document['run_id']} on {HOST} made other files under this key" in line
    [kept] = world.storage.glob("stages/calibrate/*/stage.json")
    assert json.loads(kept.read_text()) == other


def test_a_host_that_is_no_maker_prepares_nothing_for_others(world: World) -> None:
    world.opened()
    path = spool.entry_path(world.storage, RUN_ID, HOST)
    spool.write_entry(path, {**json.loads(path.read_text()), "makers": ["cheap-01"]})
    [(line, good)] = world.visit()
    assert good, line
    assert world.record()["verdict"]["status"] == "passed"
    assert not list(world.storage.glob("stages/*/*/stage.json"))

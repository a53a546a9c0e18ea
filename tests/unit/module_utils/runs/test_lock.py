"""A run's lock under power cuts, jumping clocks, full disks and returning controllers."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base import documents
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.times import format_time, parse_time, utc_now
from ansible.module_utils.dlrm_fleet.runs import lock as run_lock, runs as run_module
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id, process_started
from ansible.module_utils.dlrm_fleet.runs.lease import LEASE
from ansible.module_utils.dlrm_fleet.runs.lock import LockDamaged
from ansible.module_utils.dlrm_fleet.runs.runs import Runs

RUN, LATER = "20260131T120000Z-0a1b2c", "20260201T120000Z-0a1b2c"
SHA = "ab" * 32
OWNER = Owner(f"{os.geteuid() or 65534}:{os.getegid() or 65534}")
ME = {
    "id": "me@here",
    "machine_id": machine_id(),
    "pid": os.getpid(),
    "pid_started": process_started(os.getpid()),
}
FOREIGN = {"id": "you@there", "machine_id": "elsewhere", "pid": 7, "pid_started": 7}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def opened(runs: Runs, run_id: str = RUN, by: dict[str, Any] = ME) -> bool:
    return runs.open(run_id, SHA, by, 100, OWNER)[0]


def states(runs: Runs) -> list[str]:
    return [run["state"] for run in runs.listed()]


def jump(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Set the host's clock for the rest of the test."""

    def now() -> datetime:
        return utc_now() + by

    monkeypatch.setattr(run_module, "utc_now", now)
    monkeypatch.setattr(run_lock, "utc_now", now)


def age(path: Path, seconds: int) -> None:
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_a_day_blocks_nobody(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    opened(runs, by=FOREIGN)
    jump(monkeypatch, timedelta(days=days))
    assert states(runs) == ["lapsed"]
    assert opened(runs)
    assert states(runs) == ["live"]


def test_a_clock_set_right_by_seconds_takes_the_lease_from_nobody(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(runs, by=FOREIGN)
    for seconds in (-20, 20):
        jump(monkeypatch, timedelta(seconds=seconds))
        assert states(runs) == ["live"]


def test_the_holder_renews_after_the_clock_was_set_back(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(runs, by=FOREIGN)
    jump(monkeypatch, timedelta(days=-1))
    runs.renew(RUN, FOREIGN)
    until = parse_time(runs.read(RUN)["lease_until"])
    assert until - utc_now() <= LEASE - timedelta(hours=23)
    assert states(runs) == ["live"]


@pytest.mark.parametrize("left", ["", '{"run_id": "2026', '{"schema_version": 1}', "null"])
def test_a_damaged_lock_loses_nothing(runs: Runs, left: str) -> None:
    opened(runs, by=FOREIGN)
    before = runs.read(RUN)
    path = runs.lock_path(RUN)
    path.write_text(left)
    assert states(runs) == ["live"]
    for name in ("run.lock", "opened.json"):
        age(path.with_name(name), 1000)
    assert states(runs) == ["lapsed"]
    assert runs.listed()[0]["controller"] == FOREIGN
    changed, lock = runs.open(RUN, SHA, ME, 100, OWNER)
    assert changed
    assert (lock["opened_at"], lock["request_sha256"]) == (before["opened_at"], SHA)
    assert json.loads(path.read_text())["controller"] == ME
    (aside,) = path.parent.glob("run.lock.damaged-*")
    assert aside.read_text() == left


def test_the_holder_mends_its_damaged_lock(runs: Runs) -> None:
    opened(runs)
    before = runs.read(RUN)
    runs.lock_path(RUN).write_text("")
    runs.renew(RUN, ME)
    after = json.loads(runs.lock_path(RUN).read_text())
    assert {**after, "lease_until": ""} == {**before, "lease_until": ""}


def test_a_lock_that_vanished_is_known_from_the_opening(runs: Runs) -> None:
    opened(runs)
    runs.lock_path(RUN).unlink()
    assert states(runs) == ["live"]
    assert not opened(runs)
    assert runs.lock_path(RUN).exists()


def test_both_documents_damaged_is_said_and_taken_up_by_name(runs: Runs) -> None:
    opened(runs, by=FOREIGN)
    for name in ("run.lock", "opened.json"):
        (runs.path / RUN / name).write_text("")
    (run,) = runs.listed()
    assert run["state"] == "damaged"
    assert run["damage"].startswith(
        f"cannot read '{runs.lock_path(RUN)}': it is empty or truncated"
    )
    assert f"Continue that run with -e run_id={RUN}" in run["damage"]
    with pytest.raises(LockDamaged):
        runs.renew(RUN, FOREIGN)
    assert opened(runs, LATER)
    assert states(runs) == ["damaged", "live"]
    assert opened(runs, RUN)
    assert states(runs) == ["live", "live"]
    assert len(list((runs.path / RUN).glob("*.damaged-*"))) == 2


def test_a_lock_of_another_release_is_refused_and_kept(runs: Runs) -> None:
    opened(runs)
    path = runs.lock_path(RUN)
    text = json.dumps({**json.loads(path.read_text()), "schema_version": 2})
    path.write_text(text)
    for call in (runs.listed, lambda: opened(runs)):
        with pytest.raises(FleetError, match="another release of dlrm-fleet"):
            call()
    assert path.read_text() == text


def test_only_the_holder_closes(runs: Runs) -> None:
    opened(runs, by=FOREIGN)
    with pytest.raises(FleetError, match=r"no longer holds.*you@there.* adopted it"):
        runs.close(RUN, ME, OWNER)
    assert not runs.is_closed(RUN)
    assert runs.close(RUN, FOREIGN, OWNER)


def test_a_controller_that_lost_its_run_is_refused_although_it_is_closed(runs: Runs) -> None:
    opened(runs)
    runs.close(RUN, ME, OWNER)
    runs.renew(RUN, ME)
    with pytest.raises(FleetError, match="no longer holds"):
        runs.renew(RUN, FOREIGN)


def test_a_write_that_fails_half_way_leaves_the_old_lock(tmp_path: Path) -> None:
    """The kernel refuses the write: the file size is limited to less than a lock."""
    runs = Runs(tmp_path)
    opened(runs)
    before = runs.lock_path(RUN).read_bytes()
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "import conftest, json\n"
        "from pathlib import Path\n"
        "from ansible.module_utils.dlrm_fleet.base.documents import write_json_atomic\n"
        "from ansible.module_utils.dlrm_fleet.base.errors import FleetError\n"
        "try:\n"
        "    write_json_atomic(Path(sys.argv[2]), {'long': 'x' * 4096})\n"
        "except FleetError as error:\n"
        "    print(error)\n"
    )
    arguments = [str(Path(__file__).parents[3]), str(runs.lock_path(RUN))]
    written = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert written.stdout.startswith(f"cannot write '{runs.lock_path(RUN)}': File too large")
    assert runs.lock_path(RUN).read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "runs" / RUN).iterdir()) == [
        "opened.json",
        "run.lock",
    ]


def test_a_full_disk_is_said_with_a_remedy(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(runs, by=FOREIGN)
    before = runs.lock_path(RUN).read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(documents.os, "fsync", full)
    jumped = format_time(utc_now() - timedelta(minutes=1))
    lock = {**runs.read(RUN), "lease_until": jumped}
    with pytest.raises(FleetError, match=r"No space left on device. Free space on that file"):
        run_lock.write_lock(runs.path / RUN, lock, None)
    assert runs.lock_path(RUN).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where the root should be")
    with pytest.raises(FleetError, match=r"cannot make the folder '.*/root/runs': "):
        opened(Runs(tmp_path / "root"))


RACER = """
import os, sys
sys.path[:0] = sys.argv[1:2]
import conftest
from pathlib import Path
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id, process_started
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
pid = os.getpid()
me = {"id": sys.argv[3], "machine_id": machine_id(), "pid": pid,
      "pid_started": process_started(pid)}
print("ready", flush=True)
input()
try:
    Runs(Path(sys.argv[2])).open(sys.argv[3], "ab" * 32, me, 100, Owner(sys.argv[4]))
    print("won", flush=True)
except FleetError as error:
    print(error, flush=True)
# A process that ended would leave its run to the next.
input()
"""


def test_of_processes_that_open_new_runs_at_once_one_wins(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[3])
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tests, str(tmp_path), f"{RUN[:-1]}{index}", OWNER.text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(5)
    ]
    try:
        assert [told(racer) for racer in racers] == ["ready"] * 5
        for racer in racers:
            tell(racer)
        answers = [told(racer) for racer in racers]
    finally:
        for racer in racers:
            racer.communicate("\n", timeout=60)
    assert answers.count("won") == 1
    winner = f"{RUN[:-1]}{answers.index('won')}"
    for answer in answers:
        assert answer == "won" or f"run {winner} is held by {winner} (pid " in answer
    assert [run["run_id"] for run in Runs(tmp_path).listed()] == [winner]


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()

"""Who may hold a run: locks on disk and the fleet's decision."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.runs import runs as run_module
from ansible.module_utils.dlrm_fleet.runs.choose import decide
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id, process_started
from ansible.module_utils.dlrm_fleet.runs.run_id import RUN_ID
from ansible.module_utils.dlrm_fleet.runs.runs import Runs, state

RUN, LATER = "20260131T120000Z-0a1b2c", "20260201T120000Z-0a1b2c"
SHA, OTHER_SHA = "ab" * 32, "cd" * 32
OWNER = Owner(f"{os.geteuid() or 65534}:{os.getegid() or 65534}")


def controller(name: str = "me@here", **changes: Any) -> dict[str, Any]:
    pid = os.getpid()
    here = {"machine_id": machine_id(), "pid": pid, "pid_started": process_started(pid)}
    return {"id": name, **here, **changes}


FOREIGN = controller("you@there", machine_id="elsewhere", pid=7)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def opened(runs: Runs, run_id: str = RUN, by: dict[str, Any] | None = None, **o: Any) -> bool:
    return runs.open(run_id, o.get("sha", SHA), by or controller(), 100, OWNER)[0]


def lapse(runs: Runs, run_id: str = RUN) -> None:
    path = runs.lock_path(run_id)
    lock = {**json.loads(path.read_text()), "lease_until": format_time(utc_now() - timedelta(1))}
    path.write_text(json.dumps(lock))


def states(runs: Runs) -> list[str]:
    return [run["state"] for run in runs.listed()]


def test_a_run_closed_by_another_one_holds_nobody_up(runs: Runs) -> None:
    """As on the first of several hosts when the controller dies before it closes the others."""
    dead = controller(pid=2**22 + 1, pid_started=1)
    opened(runs, by=dead)
    runs.close(RUN, dead, OWNER)
    assert not opened(runs)
    runs.renew(RUN, controller())
    assert not runs.close(RUN, controller(), OWNER)
    assert states(runs) == ["closed"]
    with pytest.raises(FleetError, match="no longer holds"):
        runs.renew(RUN, dead)


def test_open_once_then_renewed_then_closed_once(runs: Runs) -> None:
    assert runs.listed() == []
    assert opened(runs)
    assert not opened(runs)
    assert states(runs) == ["live"]
    assert runs.close(RUN, controller(), OWNER)
    assert not runs.close(RUN, controller(), OWNER)
    assert states(runs) == ["closed"]
    assert not opened(runs, by=FOREIGN)


def test_check_mode_answers_the_same_and_writes_nothing(runs: Runs, tmp_path: Path) -> None:
    assert runs.open(RUN, SHA, controller(), 100, OWNER, check=True)[0]
    assert list(tmp_path.iterdir()) == []


def test_living_holder_is_refused_with_name_and_since_when(runs: Runs) -> None:
    opened(runs, by=FOREIGN)
    lock = runs.read(RUN)
    for run_id in (RUN, LATER):
        with pytest.raises(FleetError) as caught:
            opened(runs, run_id)
        assert (
            f"run {RUN} is held by you@there (pid 7) since {lock['opened_at']}, lease until"
            f" {lock['lease_until']}. Stop that run, or wait for its end with"
            " -e run_wait=10m." in str(caught.value)
        )


def test_lapsed_run_is_taken_over_with_a_new_deadline(runs: Runs) -> None:
    opened(runs, by=FOREIGN)
    lapse(runs)
    assert states(runs) == ["lapsed"]
    before = runs.read(RUN)
    before.update(opened_at="2026-01-31T12:00:00Z", deadline="2026-01-31T12:00:01Z")
    runs.lock_path(RUN).write_text(json.dumps(before))
    changed, lock = runs.open(RUN, SHA, controller(), 100, OWNER)
    assert changed
    assert lock["opened_at"] == before["opened_at"]
    assert lock["deadline"] > format_time(utc_now())
    with pytest.raises(FleetError, match=r"no longer holds.*me@here.* adopted it"):
        runs.renew(RUN, FOREIGN)


def test_dead_process_on_this_machine_is_orphaned_at_once(runs: Runs) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(child.pid)
    by = controller(pid=child.pid, pid_started=started)
    opened(runs, by=by)
    assert states(runs) == ["live"]
    child.communicate()
    assert states(runs) == ["orphaned"]
    assert opened(runs)
    assert states(runs) == ["live"]


def test_a_reused_pid_is_another_process() -> None:
    lock = {
        "controller": controller(pid_started=1),
        "lease_until": format_time(utc_now() + timedelta(seconds=60)),
    }
    assert state(lock, False, utc_now(), machine_id()) == "orphaned"
    assert state(lock, False, utc_now(), "other machine") == "live"


def test_of_two_that_take_over_one_wins(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(runs, by=FOREIGN)
    lapse(runs)
    answers: list[str] = []
    real = run_module.write_lock  # type: ignore[attr-defined]

    def slowly(*arguments: Any) -> None:
        # Between reading and writing there is time for everybody.
        time.sleep(0.1)
        real(*arguments)

    monkeypatch.setattr(run_module, "write_lock", slowly)

    def take(name: str) -> None:
        try:
            opened(runs, by=controller(name))
            answers.append("won")
        except FleetError:
            answers.append("refused")

    threads = [threading.Thread(target=take, args=(f"c{index}@x",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["refused"] * 7 + ["won"]


def test_another_request_is_refused(runs: Runs) -> None:
    opened(runs)
    with pytest.raises(FleetError, match="opened for another request"):
        opened(runs, sha=OTHER_SHA)


def test_measured_is_told(runs: Runs, tmp_path: Path) -> None:
    opened(runs)
    assert [run["measured"] for run in runs.listed()] == [False]
    folder = tmp_path / "stages/performance/x"
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(json.dumps({"schema_version": 1, "run_id": RUN}))
    assert [run["measured"] for run in runs.listed()] == [True]


def test_foreign_files_below_runs_are_left_alone(runs: Runs) -> None:
    opened(runs)
    (runs.path / "notes").mkdir()
    (runs.path / LATER).mkdir()
    assert [run["run_id"] for run in runs.listed()] == [RUN]


def run(run_id: str = RUN, state: str = "lapsed", **changes: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "request_sha256": SHA,
        "controller": FOREIGN,
        "opened_at": "2026-01-31T12:00:00Z",
        "deadline": "2026-01-31T13:00:00Z",
        "lease_until": "2026-01-31T12:01:30Z",
        "state": state,
        "measured": False,
        **changes,
    }


def decided(*hosts: list[dict[str, Any]] | None, run_id: str | None = None) -> dict[str, Any]:
    entries = [{"host": f"node{index}", "runs": runs} for index, runs in enumerate(hosts, 1)]
    return decide(run_id, SHA, controller(), entries)


def test_no_open_run_is_a_new_one() -> None:
    found = decided([], [run(state="closed"), run(request_sha256=OTHER_SHA)])
    assert found["how"] == "new"
    assert RUN_ID.match(found["run_id"])
    assert found["message"].endswith("new; no open run of this request on 2 hosts")
    assert decided([])["run_id"] != decided([])["run_id"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [("lapsed", "whose lease ended 2026-01-31T12:01:30Z"), ("orphaned", "whose process is gone")],
)
def test_newest_open_run_of_this_request_is_adopted(state: str, reason: str) -> None:
    found = decided([run()], [run(LATER, state), run(RUN)])
    assert (found["run_id"], found["how"]) == (LATER, "adopted")
    assert found["message"] == (
        f"run {LATER}: adopted; opened 2026-01-31T12:00:00Z on node2 by you@there (pid 7), {reason}"
    )


def machines(*answers: Any) -> list[dict[str, Any]]:
    return [
        {"host": f"node{index}", "runs": [], "machine": machine}
        for index, machine in enumerate(answers, 1)
    ]


def test_two_names_of_one_machine_are_refused() -> None:
    one, other = "0" * 32, "1" * 32
    with pytest.raises(FleetError, match="the hosts node1, node3 are one machine"):
        decide(None, SHA, controller(), machines(one, other, one))
    assert decide(None, SHA, controller(), machines(one, other))["how"] == "new"


@pytest.mark.parametrize("answer", [None, "", [], {"a": 1}, "x" * 32, "0" * 10_000])
def test_a_machine_that_says_nothing_useful_keeps_nobody_out(answer: Any) -> None:
    assert decide(None, SHA, controller(), machines(answer, answer))["how"] == "new"


def test_a_host_with_its_own_sources_has_its_own_sha256() -> None:
    hosts: list[dict[str, Any]] = [
        {"host": "node1", "runs": [run()], "request_sha256": None},
        {"host": "node2", "runs": [run(request_sha256=OTHER_SHA)], "request_sha256": OTHER_SHA},
    ]
    assert decide(None, SHA, controller(), hosts)["how"] == "adopted"
    assert decide(RUN, SHA, controller(), hosts)["how"] == "adopted"
    hosts[1]["request_sha256"] = SHA
    with pytest.raises(FleetError, match="on host node2 belongs to another request"):
        decide(RUN, SHA, controller(), hosts)


def test_own_open_run_is_continued() -> None:
    assert decided([run(state="live", controller=controller())])["how"] == "adopted"


def test_finished_unwatched_is_collected_only_when_all_did() -> None:
    assert decided([run(measured=True)], [run(measured=True)])["how"] == "collected"
    assert decided([run(measured=True)], [run()])["how"] == "adopted"


def test_hosts_measure_unless_the_run_is_only_read() -> None:
    assert decided([])["measures"] is True
    assert decided([run()])["measures"] is True
    assert decided([run(measured=True)])["measures"] is True
    assert decided([run(state="closed")], run_id=RUN)["measures"] is False


def test_hosts_that_know_nothing_of_a_run_others_began_are_named() -> None:
    read = [[run()], [], [run(LATER, state="closed")], None]
    assert decided(*read)["unknown_to"] == ["node2", "node3"]
    assert decided([run(measured=True)], [])["unknown_to"] == ["node2"]
    assert decided([], [])["unknown_to"] == []
    assert decided([run(state="closed")], [], run_id=RUN)["unknown_to"] == []


def test_a_host_whose_runs_nobody_read_has_no_say() -> None:
    assert decided(None, [run()])["how"] == "adopted"
    with pytest.raises(FleetError, match="no host told of its runs"):
        decided(None, None)


def test_living_foreign_run_is_refused_whatever_it_measures() -> None:
    for sha in (SHA, OTHER_SHA):
        with pytest.raises(FleetError) as caught:
            decided([], [run(state="live", request_sha256=sha)], [run(state="live")])
        assert str(caught.value) == (
            f"host node2 is busy (also busy: node3): run {RUN} is held by you@there (pid 7) since"
            " 2026-01-31T12:00:00Z, lease until 2026-01-31T12:01:30Z. Stop that run,"
            " or wait for its end with -e run_wait=10m."
        )


def test_named_runs() -> None:
    assert decided([run(state="closed")], run_id=RUN)["how"] == "closed"
    assert decided([run(state="closed")], [run()], run_id=RUN)["how"] == "adopted"
    busy = run(LATER, state="live")
    assert decided([run(state="closed"), busy], run_id=RUN)["how"] == "closed"
    words = f"run_id '{RUN}' is not known to node1: the newest known runs are {LATER}"
    with pytest.raises(FleetError, match=re.escape(words)):
        decided([run(LATER)], run_id=RUN)
    with pytest.raises(FleetError, match="belongs to another request"):
        decided([run(request_sha256=OTHER_SHA, state="closed")], run_id=RUN)
    damaged = run(request_sha256="", state="damaged")
    assert decided([damaged], run_id=RUN)["how"] == "adopted"
    assert decided([damaged])["how"] == "new"

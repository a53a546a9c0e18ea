"""The action starts, watches, prints and fails as promised; real playbooks, real containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import playbook
from tiny.machine import CATALOGUE, NEXT_RUN, RUN, USER, Machine


def task(machine: Machine, stage: str, **changes: Any) -> dict[str, Any]:
    arguments = {
        "root": str(machine.root),
        "stage": stage,
        "catalogue": CATALOGUE,
        "request": machine.asked.request,
        "run_id": machine.asked.run_id,
        "image": machine.asked.image,
        "user": USER,
        "deadline": machine.deadline,
        "controller": machine.asked.controller,
        **changes,
    }
    return {"name": "Stage", "dlrm_stage": arguments, "register": "seen"}


def run(
    folder: Path, machine: Machine, stage: str, *options: str, **changes: Any
) -> playbook.Ended:
    return playbook.run(
        folder, [task(machine, stage, **changes), *playbook.saved(folder)], *options
    )


def test_a_stage_runs_to_its_end_and_is_skipped_next_time(machine: Machine, tmp_path: Path) -> None:
    ended = run(tmp_path, machine, "made", "--diff")
    assert ended.code == 0, ended.output
    assert "[node1] made started, attempt 1: no result with key" in ended.output
    assert "[node1] made done in 0:0" in ended.output
    assert f"+made by run {RUN}, attempt 1" in ended.output
    seen = playbook.seen(tmp_path)
    assert (seen["state"], seen["changed"], seen["attempt"]) == ("done", True, 1)
    assert seen["document"]["outputs"][0]["name"] == "made.bin"
    assert (machine.root / f"model/{os.uname().machine}_fp32.bin").read_text() == "seed 1\n"
    request = machine.folder("made").attempt_document(1, "request.json")
    assert request is not None
    assert request["provenance"]["host"] == "node1"
    machine.open_run(NEXT_RUN)
    ended = run(tmp_path, machine, "made")
    assert f"made by run {RUN} at " in ended.output
    assert "[node1] made skipped because " in ended.output
    assert playbook.seen(tmp_path)["changed"] is False


def test_failure_has_message_cause_and_log_apart(machine: Machine, tmp_path: Path) -> None:
    stage = {**task(machine, "raising"), "ignore_errors": True}
    playbook.run(tmp_path, [stage, *playbook.saved(tmp_path)])
    seen = playbook.seen(tmp_path)
    assert seen["failed"]
    log = machine.folder("raising").log_path(1)
    assert seen["msg"] == f"cannot do x: boom. Do y. Its log: {log}."
    assert (seen["cause"], seen["exit_code"]) == ("exception", 1)
    assert seen["log_tail"] == ["stage raising begins", "Traceback: boom"]


def test_refusal_of_the_module_is_the_tasks_failure(machine: Machine, tmp_path: Path) -> None:
    ended = run(tmp_path, machine, "made", user="0:0")
    assert ended.code == 2
    assert "never runs as root (uid 0)" in ended.words


def test_check_mode_starts_nothing(machine: Machine, tmp_path: Path) -> None:
    bare = str(tmp_path / "bare")
    ended = run(tmp_path, machine, "derived", "--check", "--diff", root=bare, image=None)
    assert ended.code == 0, ended.output
    assert "[node1] derived would run: key known once made is done" in ended.output
    assert "-absent" in ended.output
    assert not Path(bare).exists()
    assert machine.containers() == []


def test_missing_sdk_is_told_with_the_python_that_lacks_it(
    machine: Machine, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    python = str(tmp_path / "venv/bin/python")
    tasks = [task(machine, "made")]
    ended = playbook.run(tmp_path, tasks, variables={"ansible_python_interpreter": python})
    assert ended.code == 2
    assert f"Docker SDK for Python (docker): it is not installed for {python}" in ended.words
    checked = playbook.run(
        tmp_path, tasks, "--check", variables={"ansible_python_interpreter": python}
    )
    assert checked.code == 0, checked.output


def test_killed_controller_leaves_the_stage_to_the_next(machine: Machine, tmp_path: Path) -> None:
    tasks = [task(machine, "waiting"), *playbook.saved(tmp_path)]
    first = playbook.start(tmp_path / "first", tasks)
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = playbook.start(tmp_path / "second", tasks)
    assert second.stdout is not None
    lines = []
    for line in second.stdout:
        lines.append(line)
        if "elapsed" in line:
            (machine.folder("waiting").path / "go").touch()
    output = "".join(lines)
    assert second.wait() == 0, output
    assert "[node1] waiting attached to attempt 1, started by run" in output
    assert "[node1] waiting 42 % at work, 1.2 M rows/s" in output
    assert "[node1] waiting done in" in output
    assert playbook.seen(tmp_path)["attempt"] == 1


def test_lost_connection_is_survived_and_told(machine: Machine, tmp_path: Path, ssh: Path) -> None:
    down = tmp_path / "down"

    def cut() -> None:
        machine.until("waiting", lambda seen: "42 %" in seen.line)
        down.touch()
        (machine.folder("waiting").path / "go").touch()
        time.sleep(12)
        down.unlink()

    cutter = threading.Thread(target=cut)
    cutter.start()
    ended = playbook.run(
        tmp_path,
        [task(machine, "waiting", wait_seconds=0)],
        variables={"ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0},
        connection="ssh",
    )
    cutter.join()
    assert ended.code == 0, ended.output
    assert "waiting: connection lost (" in ended.output
    assert f"trying again until {machine.deadline}" in ended.output
    assert "[node1] waiting done in" in ended.output

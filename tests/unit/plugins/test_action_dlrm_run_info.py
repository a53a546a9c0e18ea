"""Waiting for another controller's run: how long, what is printed, and that it ends with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import playbook
import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.runs.holder import process_started
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from tiny.machine import RUN, SHA, USER, own_controller

FOREIGN = {"id": "you@there", "machine_id": "elsewhere", "pid": 7, "pid_started": 7}


def held(root: Path) -> Runs:
    root.mkdir()
    runs = Runs(root)
    runs.open(RUN, SHA, FOREIGN, 100, Owner(USER))
    return runs


def task(wait: int, **changes: Any) -> dict[str, Any]:
    arguments = {"root": "{{ root }}", "controller": own_controller(), "wait_seconds": wait}
    return {"name": "Runs", "dlrm_run_info": {**arguments, **changes}, "register": "seen"}


def look(folder: Path, wait: int, *options: str, **changes: Any) -> playbook.Ended:
    tasks = [task(wait, **changes), *playbook.saved(folder)]
    return playbook.run(folder, tasks, *options, variables={"root": str(folder / "root")})


def test_without_waiting_the_holder_is_named_at_once(tmp_path: Path) -> None:
    lock = held(tmp_path / "root").read(RUN)
    ended = look(tmp_path, 0)
    assert ended.code == 0, ended.output
    assert "waits up to" not in ended.output
    busy = f"run {RUN} is held by you@there (pid 7) since {lock['opened_at']}, lease until "
    assert playbook.seen(tmp_path)["busy"].startswith(busy)


def test_check_mode_and_a_recorded_run_wait_for_nobody(tmp_path: Path) -> None:
    runs = held(tmp_path / "root")
    ended = look(tmp_path, 600, "--check")
    assert "waits up to" not in ended.output
    runs.close(RUN, FOREIGN, Owner(USER))
    other = "20260201T120000Z-0a1b2c"
    runs.open(other, SHA, FOREIGN, 100, Owner(USER))
    ended = look(tmp_path, 600, run_id=RUN)
    assert ended.code == 0, ended.output
    assert playbook.seen(tmp_path)["busy"] == ""


def test_several_hosts_wait_side_by_side_until_the_run_is_recorded(tmp_path: Path) -> None:
    roots = {name: tmp_path / name for name in ("node1", "node2")}
    runs = {name: held(root) for name, root in roots.items()}
    second = {"ansible_connection": "local", "root": str(roots["node2"])}
    interpreter = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {"all": {"hosts": {"node2": {**second, **interpreter}}}}
    (tmp_path / "more.json").write_text(json.dumps(hosts))
    process = playbook.start(
        tmp_path / "play",
        [task(600), {"name": "Say", "ansible.builtin.debug": {"var": "seen.busy"}}],
        "-i",
        str(tmp_path / "more.json"),
        variables={"root": str(roots["node1"])},
    )
    assert process.stdout is not None
    waiting = set()
    output = ""
    for line in process.stdout:
        output += line
        waiting |= {name for name in roots if line.startswith(f"[{name}] waits up to 600 s: run")}
        # Both wait before either may go on.
        if waiting == set(roots):
            for name in roots:
                runs[name].close(RUN, FOREIGN, Owner(USER))
    assert process.wait() == 0, output
    assert output.count("seen.busy: ''") == 2, output


def test_the_end_of_patience_names_the_holder(tmp_path: Path) -> None:
    held(tmp_path / "root")
    ended = look(tmp_path, 1)
    assert ended.code == 0, ended.output
    assert f"[node1] waits up to 1 s: run {RUN} is held by you@there (pid 7) since" in ended.words
    assert "you@there" in playbook.seen(tmp_path)["busy"]


def test_our_own_run_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    Runs(tmp_path / "root").open(RUN, SHA, own_controller(), 100, Owner(USER))
    assert os.getpid() == own_controller()["pid"]
    ended = look(tmp_path, 600)
    assert "waits up to" not in ended.output
    assert playbook.seen(tmp_path)["busy"] == ""


def test_a_holder_that_ran_here_and_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    """The host is another machine: it sees a live lease and no process of that number."""
    (tmp_path / "root").mkdir()
    runs = Runs(tmp_path / "root")
    killed = subprocess.Popen(["sleep", "600"])
    started = process_started(killed.pid)
    here = {**own_controller(), "machine_id": "the controller's"}
    holder = {**here, "pid": killed.pid, "pid_started": started}
    runs.open(RUN, SHA, holder, 100, Owner(USER))
    ended = look(tmp_path, 1, controller=here)
    assert f"waits up to 1 s: run {RUN} is held by" in ended.words
    assert playbook.seen(tmp_path)["gone"] == []

    killed.kill()
    killed.wait()
    ended = look(tmp_path, 600, controller=here)
    seen = playbook.seen(tmp_path)
    assert "waits up to" not in ended.output
    assert (seen["busy"], seen["gone"]) == ("", [holder])
    assert [run["state"] for run in seen["runs"]] == ["orphaned"]

    with pytest.raises(FleetError, match="is held by"):
        runs.open(RUN, SHA, here, 100, Owner(USER))
    changed, lock = Runs(tmp_path / "root", seen["gone"]).open(RUN, SHA, here, 100, Owner(USER))
    assert (changed, lock["controller"]) == (True, here)


def test_a_holder_elsewhere_is_not_judged_by_its_number_here(tmp_path: Path) -> None:
    held(tmp_path / "root")
    look(tmp_path, 0, controller={**own_controller(), "machine_id": "the controller's"})
    assert playbook.seen(tmp_path)["busy"]
    assert playbook.seen(tmp_path)["gone"] == []

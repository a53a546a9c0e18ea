"""Reading a closed run takes a few tasks for each host, for any number of hosts."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_machines import RUN_ID, Machines

HOSTS = int(os.environ.get("DLRM_NOTHING_TO_DO_HOSTS", "3"))
MOST_TASKS = 40
MOST_MODULES = 14
# These run in the controller's own process.
CONTROLLER_ONLY = {
    "set_fact",
    "debug",
    "assert",
    "include_tasks",
    "include_role",
    "include_vars",
    "meta",
    "fail",
}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("nothing"))
    names = [f"far-{number:02}" for number in range(1, HOSTS + 1)]
    try:
        made.start(*names)
        for name in names:
            made.plant_closed_run(name)
        yield made
    finally:
        made.remove()


def played(machines: Machines, inventory: Path) -> dict[str, Any]:
    """The output of Ansible's own JSON callback."""
    machines.settings["ANSIBLE_STDOUT_CALLBACK"] = "ansible.posix.json"
    ended = machines.play(inventory, run_id=RUN_ID, dlrm_storage_node="here")
    assert ended.returncode == 0, ended.stdout
    document: dict[str, Any] = json.loads(ended.stdout[ended.stdout.index("{\n") :])
    return document


def test_a_closed_run_costs_a_host_a_handful_of_tasks(machines: Machines) -> None:
    inventory = machines.inventory(
        "closed", {name: {} for name in machines.addresses}, storage="here"
    )
    document = played(machines, inventory)
    modules: Counter[str] = Counter()
    for play in document["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if (
                    not result.get("skipped")
                    and result["action"].rpartition(".")[2] not in CONTROLLER_ONLY
                ):
                    modules[host] += 1
    for host in machines.addresses:
        stats = document["stats"][host]
        assert (stats["changed"], stats["failures"], stats["unreachable"]) == (0, 0, 0), stats
        assert stats["ok"] + stats["skipped"] <= MOST_TASKS, stats
        # Without any module, the count would prove nothing.
        assert 3 <= modules[host] <= MOST_MODULES, modules

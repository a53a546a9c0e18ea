"""From no machine to no machine: a killed controller, the same command again, a stored run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from fleet.engine import docker, wait_until

from .ssh_operator import NAME, Operator, operating
from .stand_in.faults import CREATE

STORE = "/srv/dlrm-storage"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folders = (tmp_path_factory.mktemp(name) for name in ("cloud", "full"))
    with operating(*folders, "cloudrun") as made:
        yield made


def test_killed_in_the_midst_the_same_command_brings_the_result(operator: Operator) -> None:
    server, host = operator.world.server, operator.host
    operator.show_keys()
    made = server.faults.calls[CREATE]
    process = operator.popen()
    opened = "ls /srv/dlrm/runs/*/run.lock 2>/dev/null"
    wait_until(
        lambda: process.poll() is not None or host.shell(opened, check=False).strip(),
        "the run was opened",
        pause=0.5,
    )
    assert process.poll() is None, operator.fleet.log_of(process)[-6000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert server.alive() == [NAME]

    code, said = operator.run()
    assert code == 0, said[-8000:]
    assert "adopted; opened" in said or "collected; it finished" in said
    assert server.faults.calls[CREATE] == made + 1, "a second machine was asked for"
    assert f"{NAME} is released: the storage node has its results, verified" in said
    assert server.bills() == []
    form = "{{.State.Running}}"
    assert docker("inspect", "--format", form, host.container).strip() == "false"
    storage = operator.fleet.storage
    [path] = storage.shell(f"ls {STORE}/runs/*/{NAME}/run.json").split()
    record = json.loads(storage.run("cat", path))
    assert record["verdict"]["status"] == "passed", record["verdict"]
    folder = path.removesuffix("/run.json")
    storage.shell(f"cd {folder} && sha256sum --check --strict --quiet SHA256SUMS")

    # A command on a closed run acquires no machine.
    code, said = operator.run(run_id=record["run_id"])
    assert code != 0
    assert "No machine is acquired: run_id names a run among machines that are there." in said
    assert server.faults.calls[CREATE] == made + 1
    assert server.bills() == []

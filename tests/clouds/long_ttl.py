"""The controller dies when performance begins, the machine ends at its TTL: the record exists.

Not collected by name: tests/long/clouds.sh runs it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from fleet.engine import docker, wait_until

from .ssh_operator import NAME, Operator, operating
from .worlds import TTL

ROOT, STORE = "/srv/dlrm", "/srv/dlrm-storage"
VISIT = ["/usr/bin/python3", "-I", "/opt/dlrm-fleet/storage.pyz", "visit", STORE]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folders = (tmp_path_factory.mktemp(name) for name in ("cloud", "ttl"))
    with operating(*folders, "cloudttl") as made:
        yield made


def is_collected(operator: Operator) -> bool:
    """Whether a round has collected the run: the timer's, or the one that this starts."""
    storage = operator.fleet.storage
    storage.run(*VISIT, check=False)
    return bool(storage.shell(f"ls {STORE}/runs/*/{NAME}/run.json 2>/dev/null", check=False))


def test_the_record_survives_controller_and_machine(operator: Operator) -> None:
    server, host, storage = operator.world.server, operator.host, operator.fleet.storage
    operator.show_keys()
    process = operator.popen()
    begun = f"ls -d {ROOT}/stages/performance/*/attempts/1 2>/dev/null"
    wait_until(
        lambda: process.poll() is not None or host.shell(begun, check=False).strip(),
        "performance began",
        pause=0.5,
    )
    assert process.poll() is None, operator.fleet.log_of(process)[-6000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert storage.shell(f"ls {STORE}/runs 2>/dev/null || true").strip() == "", "stored already"

    # Nobody watches: the stage ends by itself, then the lease; the timer's round collects the run.
    wait_until(lambda: is_collected(operator), "the run was collected", pause=5)
    assert server.alive() == [NAME]
    server.pass_time(10 * TTL)
    assert server.alive() == []
    assert server.bills() == []
    form = "{{.State.Running}}"
    assert docker("inspect", "--format", form, host.container).strip() == "false"

    [path] = storage.shell(f"ls {STORE}/runs/*/{NAME}/run.json").split()
    record = json.loads(storage.run("cat", path))
    assert record["verdict"]["status"] == "passed", record["verdict"]
    folder = path.removesuffix("/run.json")
    storage.shell(f"cd {folder} && sha256sum --check --strict --quiet SHA256SUMS")

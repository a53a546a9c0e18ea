"""One of two machines is done: it is released while the other measures, and not measured again.

Not collected by name: tests/long/clouds.sh runs it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from fleet.engine import wait_until
from fleet.traps import trap, trapped

from .ssh_operator import Operator, operating
from .stand_in.faults import CREATE
from .test_conformance import names

STORE = "/srv/dlrm-storage"
DONE, MEASURES = names(2)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folders = (tmp_path_factory.mktemp(name) for name in ("cloud", "early"))
    with operating(*folders, "cloudearly", count=2) as made:
        yield made


def test_a_machine_that_is_done_bills_no_longer(operator: Operator) -> None:
    server, storage = operator.world.server, operator.fleet.storage
    operator.show_keys()
    trap(operator.hosts[MEASURES], "performance", "pause")
    process = operator.popen()
    wait_until(
        lambda: process.poll() is not None or (
            storage.shell(f"ls {STORE}/runs/*/{DONE}/SHA256SUMS 2>/dev/null", check=False).strip()
            and server.alive() == [MEASURES]
        ),
        f"{DONE} is released",
        pause=0.5,
    )  # fmt: skip
    assert process.poll() is None, operator.fleet.log_of(process)[-6000:]
    held = trapped(operator.hosts[MEASURES])
    assert held, "it was not paused"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    [path] = storage.shell(f"ls {STORE}/runs/*/{DONE}/SHA256SUMS").split()
    before = storage.run("cat", path)
    operator.hosts[MEASURES].engine("unpause", held)

    code, said = operator.run()
    assert code == 0, said[-8000:]
    assert "2 of 2 hosts passed, all must: passed" in said
    assert server.faults.calls[CREATE] == 3
    assert server.bills() == []
    folder = path.removesuffix(f"/{DONE}/SHA256SUMS")
    assert storage.shell(f"ls -d {STORE}/runs/*").split() == [folder]
    assert storage.run("cat", path) == before
    for name in (DONE, MEASURES):
        record = json.loads(storage.run("cat", f"{folder}/{name}/run.json"))
        assert record["verdict"]["status"] == "passed", record["verdict"]

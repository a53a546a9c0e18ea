"""Of 32 hosts one is unreachable, one fails, one hangs: 29 finish, a second command does the rest.

Not collected by name: tests/long/fleet.sh runs it. DLRM_FLEET_HOSTS: fewer hosts, for a first look.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.times import parse_time

from .engine import command, docker, wait_until
from .hosts import USER, Fleet, Host, running
from .traps import UNIT, stages_of, trap, trapped

ROOT = "/srv/dlrm"
STORE = "/srv/dlrm-storage"
HOSTS = int(os.environ.get("DLRM_FLEET_HOSTS", "32"))
SMALL: dict[str, Any] = {"row_cap": 2000, "data_rows": 4000, "min_duration": 2}
# How long a whole run of all hosts may take on two cores; the host that hangs takes as long.
DEADLINE_SECONDS = 300 + 30 * HOSTS


@dataclass
class Run:
    """One controller: what it printed, its verdict, when it began and ended (Unix time)."""

    code: int
    output: str
    verdict: dict[str, Any]
    began: float
    ended: float

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["host"]: row for row in self.verdict["results"]}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running(tmp_path_factory.mktemp("many"), HOSTS, "many") as made:
        prepare(made)
        yield made


def prepare(fleet: Fleet) -> None:
    """One host makes the stages; the others get copies, as from a restore."""
    first, *others = fleet.benchmark_hosts
    ended = play(fleet, [first])
    assert ended.code == 0, ended.output[-6000:]
    for host in others:
        into = f"docker exec -i {host.container} tar -C {ROOT} -xpf -"
        host.run("install", "-d", "-o", USER, "-g", USER, ROOT)
        pack = f"docker exec {first.container} tar -C {ROOT} -cf - stages"
        command("bash", "-c", f"set -o pipefail; {pack} | {into}")


def play(fleet: Fleet, hosts: list[Host], *arguments: str, **variables: Any) -> Run:
    verdicts = fleet.folder / f"verdicts-{time.time_ns()}"
    inventory = fleet.write_inventory(fleet.folder / "chosen", hosts)
    asked = fleet.command(
        "--forks",
        str(len(hosts) + 2),
        *arguments,
        inventory=inventory,
        precision="int8",
        deadline=f"{DEADLINE_SECONDS}s",
        dlrm_verdict_dir=str(verdicts),
        dlrm_connection_timeout_seconds=30,
        **SMALL,
        **variables,
    )
    began = time.time()
    process = fleet.popen(asked, log=fleet.folder / f"{verdicts.name}.log")
    try:
        process.wait(2 * DEADLINE_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    [written] = verdicts.glob("verdict-*.json")
    output = fleet.log_of(process)
    return Run(process.returncode, output, json.loads(written.read_text()), began, time.time())


def records(fleet: Fleet, run_id: str) -> dict[str, dict[str, Any]]:
    """run.json of each host that has one."""
    names = fleet.storage.shell(f"cd {STORE}/runs/{run_id} && ls -d */run.json").split()
    return {
        name.split("/")[0]: json.loads(fleet.storage.shell(f"cat {STORE}/runs/{run_id}/{name}"))
        for name in names
    }


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Run:
    """The run with one bad host of each kind."""
    *_, away, failing, hanging = fleet.benchmark_hosts
    # So this run makes the accuracy anew.
    failing.shell(f"rm -rf {ROOT}/stages/accuracy/*")
    trap(failing, "accuracy", "kill")
    trap(hanging, "performance", "pause")
    docker("kill", away.container)
    ended = play(fleet, fleet.benchmark_hosts, exit_policy="90%" if HOSTS >= 32 else "any")
    assert trapped(failing), f"no container was killed:\n{ended.output[-4000:]}"
    assert trapped(hanging), f"no container was paused:\n{ended.output[-4000:]}"
    return ended


def test_the_others_finish_and_the_exit_code_is_the_policys(fleet: Fleet, first: Run) -> None:
    *good, away, failing, hanging = (host.name for host in fleet.benchmark_hosts)
    rows = first.rows()
    assert {rows[name]["status"] for name in good} == {"passed"}, first.output[-6000:]
    assert rows[away]["status"] == "unreachable", rows[away]
    assert rows[failing]["status"] == "failed", rows[failing]
    assert "SIGKILL" in " ".join(rows[failing]["reasons"]), rows[failing]
    assert rows[hanging]["status"] in ("failed", "interrupted"), rows[hanging]
    assert "deadline" in " ".join(rows[hanging]["reasons"]), rows[hanging]
    assert first.code == 0, first.output[-3000:]
    assert f"{HOSTS - 3} of {HOSTS} hosts passed" in first.output


def test_nothing_waits_for_the_one_that_hangs_but_the_verdict(fleet: Fleet, first: Run) -> None:
    """The deadline counts from the start of the host's stages."""
    *good, _away, _failing, hanging = (host.name for host in fleet.benchmark_hosts)
    recorded = {
        name: parse_time(record["recorded_at"]).timestamp()
        for name, record in records(fleet, first.verdict["run_id"]).items()
    }
    assert set(recorded) >= {*good, hanging}
    assert max(recorded[name] for name in good) < first.began + DEADLINE_SECONDS
    assert recorded[hanging] > first.began + DEADLINE_SECONDS
    assert first.ended - first.began < DEADLINE_SECONDS + 90 + 8 * HOSTS


def test_the_command_the_verdict_names_does_what_is_left_and_nothing_twice(
    fleet: Fleet, first: Run
) -> None:
    """Hosts that failed have their record; a new run of them alone measures what is missing."""
    *good, away, failing, hanging = fleet.benchmark_hosts
    run_id = first.verdict["run_id"]
    before, stages = records(fleet, run_id), {host.name: stages_of(host, ROOT) for host in good}
    fleet.restart(away)
    for host in (failing, hanging):
        host.run("systemctl", "stop", UNIT, check=False)
    wait_until(away.is_up, "the lost host is back")
    [limit] = fleet.folder.glob(f"verdicts-*/failed-{run_id}.limit")
    again = play(fleet, fleet.benchmark_hosts, "--limit", f"@{limit}")
    assert again.code == 0, again.output[-6000:]
    assert {row["host"]: row["status"] for row in again.rows().values()} == {
        host.name: "passed" for host in (away, failing, hanging)
    }
    assert records(fleet, run_id) == before
    assert {host.name: stages_of(host, ROOT) for host in good} == stages
    for host in fleet.benchmark_hosts:
        left = host.engine("ps", "--all", "--quiet", "--filter", "label=dlrm-fleet.stage")
        assert left.strip() == "", f"{host.name}: {left}"

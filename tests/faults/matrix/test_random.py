"""SIGKILL to a random process of a run at a random moment; the same command makes it whole.

DLRM_FAULTS_RANDOM: how many runs; DLRM_FAULTS_SEED: of the first (the seed names the run).
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from fleet.engine import wait_until

from .bench import ROOT, Bench
from .conftest import Yard

RUNS = int(os.environ.get("DLRM_FAULTS_RANDOM", "2"))
FIRST = int(os.environ.get("DLRM_FAULTS_SEED", "1"))
# What takes part in a run on a host; the machine's own init and its helpers do not.
PARTS = "sshd,dockerd,containerd,containerd-shim,python,dlrm-bench,timeout,docker-init,rsync,sudo"


def controller_processes(bench: Bench) -> list[tuple[str, int, str]]:
    assert bench.process is not None
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            same = os.getpgid(int(entry.name)) == bench.process.pid
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if same:
            found.append(("controller", int(entry.name), comm))
    return found


def host_processes(bench: Bench) -> list[tuple[str, int, str]]:
    listed = bench.host.run("ps", "-eo", "pid=,comm=").splitlines()
    found = []
    for line in listed:
        pid, comm = line.split(None, 1)
        if int(pid) != 1 and comm.startswith(tuple(PARTS.split(","))):
            found.append(("host", int(pid), comm))
    return found


def kill(bench: Bench, where: str, pid: int) -> bool:
    """False: it had ended by itself before."""
    if where == "host":
        return "killed" in bench.host.shell(f"kill -KILL {pid} && echo killed", check=False)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def disturb(bench: Bench, dice: random.Random, tasks: int) -> str:
    """Kill one process after a random task has begun; says which."""
    process, task = bench.process, dice.randrange(1, tasks)
    assert process is not None

    def begun() -> bool:
        assert process.poll() is None, f"ended before task {task}:\n{bench.output(process)[-3000:]}"
        return bench.output(process).count("TASK [") >= task

    wait_until(begun, f"task {task} began")
    time.sleep(dice.random())
    for _ended_by_itself in range(50):
        where, pid, comm = dice.choice(controller_processes(bench) + host_processes(bench))
        if kill(bench, where, pid):
            return f"{comm} on {where} after task {task}"
    raise AssertionError("no process could be killed")


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_killed_at_random(yard: Yard, seed: int) -> None:
    dice, bench = random.Random(seed), yard.free.get()
    try:
        bench.begin()
        bench.host.shell(f"rm -rf {ROOT}/stages/* {ROOT}/stages/*/.[!.]*")
        bench.fleet.storage.shell(f"rm -rf {bench.storage_root}")
        before = bench.survey()
        bench.start()
        killed = disturb(bench, dice, yard.tasks)
        ended = bench.wait(bench.patience)
        if ended.code != 0:
            ended = bench.run()
        assert ended.code == 0, f"seed {seed}, {killed}:\n{ended.output[-4000:]}"
        bench.assert_whole(before, yard.baseline)
    finally:
        bench.end()
        yard.free.put(bench)

"""SIGKILL to a random process of a run at a random moment; the same command completes it."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from fleet.engine import wait_until

from .bench import ROOT, Bench
from .trial import Baseline, Outcome

# Processes that take part in a run on a host; not the machine's init and its helpers.
PARTS = "sshd,dockerd,containerd,containerd-shim,python,dlrm-bench,timeout,docker-init,rsync,sudo"


@dataclass(frozen=True)
class RandomKill:
    """The same random seed draws the same task and delay, but perhaps another process."""

    seed: int

    @property
    def name(self) -> str:
        return f"random kill {self.seed}"

    def attempt(self, bench: Bench, baseline: Baseline, outcome: Outcome) -> None:
        bench.host.shell(f"rm -rf {ROOT}/stages/* {ROOT}/stages/*/.[!.]*")
        bench.fleet.storage.shell(f"rm -rf {bench.storage_root}")
        before = bench.survey()
        bench.start()
        bench.notes.append(_disturb(bench, random.Random(self.seed)))
        ended = bench.wait(bench.patience)
        outcome.how = "went on by itself"
        if ended.code != 0:
            ended = bench.run()
            outcome.how = "the same command completed it"
        assert ended.code == 0, f"{bench.notes[-1]}:\n{ended.output[-4000:]}"
        bench.assert_whole(before, baseline)

    def tidy(self, bench: Bench) -> None:
        """Nothing to lift: the kill changed nothing else."""


def _disturb(bench: Bench, dice: random.Random) -> str:
    """Kill one process after a random task has begun; says which."""
    process, task = bench.process, dice.randrange(1, bench.tasks)
    assert process is not None

    def begun() -> bool:
        assert process.poll() is None, f"ended before task {task}:\n{bench.output(process)[-3000:]}"
        return bench.output(process).count("TASK [") >= task

    wait_until(begun, f"task {task} began")
    time.sleep(dice.random())
    for _ended_by_itself in range(50):
        where, pid, comm = dice.choice(_controller_processes(bench) + _host_processes(bench))
        if _kill(bench, where, pid):
            return f"{comm} on {where} after task {task}"
    raise AssertionError("no process could be killed")


def _controller_processes(bench: Bench) -> list[tuple[str, int, str]]:
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


def _host_processes(bench: Bench) -> list[tuple[str, int, str]]:
    found = []
    for line in bench.host.run("ps", "-eo", "pid=,comm=").splitlines():
        pid, comm = line.split(None, 1)
        if int(pid) != 1 and comm.startswith(tuple(PARTS.split(","))):
            found.append(("host", int(pid), comm))
    return found


def _kill(bench: Bench, where: str, pid: int) -> bool:
    """False: it had ended by itself before."""
    if where == "host":
        return "killed" in bench.host.shell(f"kill -KILL {pid} && echo killed", check=False)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True

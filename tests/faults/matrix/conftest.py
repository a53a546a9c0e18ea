"""Hosts are made once. The chosen cells run side by side, one on each host at a time."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.engine import command
from fleet.hosts import USER, Fleet, running

from . import ledger
from .bench import ROOT, Bench
from .cells import Cell, cells
from .kills import RandomKill
from .report import write_report
from .trial import Outcome, Trial, make

EVERY = "DLRM_FAULTS_EVERY_PHASE"
ONLY = "DLRM_FAULTS_ONLY"
HOSTS = int(os.environ.get("DLRM_FAULTS_HOSTS", "4"))
# Under nohup, controllers would inherit that SIGHUP is ignored, and could not die of it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def chosen() -> list[Cell]:
    """One cell for each fault, or all; DLRM_FAULTS_ONLY: those whose name contains one of these."""
    only = [part for part in os.environ.get(ONLY, "").split(",") if part]
    found = cells(every=bool(os.environ.get(EVERY)) or bool(only))
    found = [cell for cell in found if not only or any(part in cell.name for part in only)]
    return [cell for cell in found if ledger.is_wanted(cell.name)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        found = chosen()
        metafunc.parametrize("cell", found, ids=[cell.name.replace(" ", "-") for cell in found])


class Yard:
    """The prepared hosts, and what an undisturbed run leaves on each."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.benches = [Bench(fleet, host, folder / host.name) for host in fleet.benchmark_hosts]
        self.free: queue.Queue[Bench] = queue.Queue()
        self.baseline: dict[str, dict[str, str]] = {}
        self.commit = ledger.commit()

    def run_undisturbed(self) -> None:
        """One run on the first host; the others get copies, valid because keys are equal."""
        first, *others = self.benches
        for bench in self.benches:
            bench.begin()
        started = time.monotonic()
        first.start()
        ended = first.wait(3600)
        seconds = time.monotonic() - started
        assert ended.code == 0, ended.output[-6000:]
        # The last tasks are the verdict's. A kill then changes nothing.
        tasks = ended.output.count("TASK [") - 5
        self.baseline = first.exact(first.survey())
        assert len(self.baseline) == 4
        for bench in others:
            into = f"docker exec -i {bench.host.container} tar -C {ROOT} -xpf -"
            bench.host.run("install", "-d", "-o", USER, "-g", USER, ROOT)
            pack = f"docker exec {first.host.container} tar -C {ROOT} -cf - ."
            command("bash", "-c", f"set -o pipefail; {pack} | {into}")
        for bench in self.benches:
            bench.undisturbed_seconds, bench.tasks = seconds, tasks
            self.free.put(bench)

    def make(self, trial: Trial) -> Outcome:
        bench = self.free.get()
        try:
            outcome = make(bench, trial, self.baseline)
            if outcome.problem and not bench.host.is_up():
                # If a trial loses its host, later trials must not fail.
                self.fleet.restart(bench.host)
        finally:
            self.free.put(bench)
        ledger.note(outcome, self.commit)
        return outcome


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("faults")
    with running(folder, HOSTS, "faults") as fleet:
        made = Yard(fleet, folder)
        made.run_undisturbed()
        yield made


@pytest.fixture(scope="session")
def outcomes(yard: Yard, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """Start every trial of this session."""
    wanted: list[Trial] = []
    for item in request.session.items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            asked = item.callspec.params.values()
            wanted += [value for value in asked if isinstance(value, Cell | RandomKill)]
    with ThreadPoolExecutor(max_workers=len(yard.benches)) as pool:
        futures = {trial.name: pool.submit(yard.make, trial) for trial in wanted}
        try:
            yield futures
        finally:
            # If the session is interrupted, do not wait for what still runs.
            for future in futures.values():
                future.cancel()
            if not all(future.done() for future in futures.values()):
                for bench in yard.benches:
                    bench.end()
    if os.environ.get(ledger.ASKED):
        write_report(ledger.newest())

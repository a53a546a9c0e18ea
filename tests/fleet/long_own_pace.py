"""Each host's results are stored when its own stages are done.

Not collected by name: tests/long/fleet.sh runs it.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from .engine import wait_until
from .hosts import Fleet
from .test_rerun import ROOT, STORE, asked, fleet, play
from .traps import stages_of, trap, trapped

__all__ = ["fleet"]


def test_one_that_is_done_is_recorded_while_another_measures(fleet: Fleet) -> None:
    """The controller is killed after that. The same command does the rest, and nothing twice."""
    done, measures = fleet.benchmark_hosts
    play(fleet, "playbooks/prepare_data.yml", fleet.folder / "lab")
    trap(measures, "performance", "pause")
    log = fleet.folder / "killed.log"
    process = fleet.popen(asked(fleet, "playbooks/rerun.yml", fleet.inventory), log)
    look = f"ls {STORE}/runs/*/{done.name}/SHA256SUMS 2>/dev/null || true"
    sums = wait_until(
        lambda: fleet.storage.shell(look).strip() or process.poll() is not None,
        f"{done.name} is recorded",
        pause=0.5,
    )
    assert process.poll() is None, fleet.log_of(process)[-6000:]
    held = trapped(measures)
    form = "{{.State.Status}}"
    assert measures.engine("inspect", "--format", form, held).strip() == "paused"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = fleet.storage.run("cat", str(sums)), stages_of(done, ROOT)
    measures.engine("unpause", held)

    output = play(fleet, "playbooks/rerun.yml", fleet.inventory)
    assert "adopted; opened" in output or "collected; it finished" in output
    assert (fleet.storage.run("cat", str(sums)), stages_of(done, ROOT)) == before
    folder = Path(str(sums)).parents[1]
    for host in fleet.benchmark_hosts:
        record = json.loads(fleet.storage.run("cat", f"{folder}/{host.name}/run.json"))
        assert record["verdict"]["status"] == "passed", record["verdict"]
        attempts = host.shell(f"ls -d {ROOT}/stages/performance/*/attempts/* | wc -l")
        runs = host.shell(f"ls -d {ROOT}/stages/performance/* | wc -l")
        assert attempts == runs, f"{host.name} measured one run more than once"

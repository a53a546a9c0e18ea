"""How long a run with nothing to do takes, compared with one ping of the same hosts.

Connections are open already for both.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ssh_machines import RUN_ID, Machines

from fleet import images

from . import REPOSITORY, say, seconds_of

OPEN = "-o ControlMaster=auto -o ControlPersist=240s"


def of_hosts(machines: Machines, count: int, repeats: int) -> float:
    """Median seconds for each host; run and ping take turns, after one warm-up of each."""
    chosen: dict[str, Any] = {name: {} for name in list(machines.addresses)[:count]}
    inventory = machines.inventory(f"of-{count}", chosen, storage="here")

    def ping() -> None:
        asked = [images.program("ansible"), "benchmark_hosts", "-m", "ansible.builtin.ping"]
        subprocess.run(
            [*asked, "-i", str(inventory)],
            cwd=REPOSITORY,
            env=machines.environment(),
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def run() -> None:
        ended = machines.play(inventory, run_id=RUN_ID, dlrm_storage_node="here")
        assert ended.returncode == 0, ended.stdout[-4000:]
        assert ended.stdout.count("changed=0 ") >= count, ended.stdout[-4000:]

    ping()
    run()
    ratios, runs = [], []
    for repeat in range(repeats):
        pinged, ran = seconds_of(ping), seconds_of(run)
        ratios.append(ran / pinged)
        runs.append(ran)
        say(hosts=count, repeat=repeat, ping_seconds=round(pinged, 2),
            run_seconds=round(ran, 2), ratio=round(ratios[-1], 2))  # fmt: skip
    seconds = statistics.median(runs)
    say(hosts=count, median_ratio=round(statistics.median(ratios), 2),
        seconds_a_host=round(seconds / count, 3))  # fmt: skip
    return seconds


def measure(counts: list[int], repeats: int) -> None:
    """`counts`: of hosts."""
    with tempfile.TemporaryDirectory(prefix="dlrm-nothing-") as folder:
        machines = Machines(Path(folder))
        machines.settings["ANSIBLE_SSH_ARGS"] = OPEN
        try:
            names = [f"far-{number:02}" for number in range(1, max(counts) + 1)]
            machines.start(*names)
            for name in names:
                machines.plant_closed_run(name)
            seconds = {count: of_hosts(machines, count, repeats) for count in counts}
        finally:
            machines.remove()
    if len(seconds) > 1:
        (few, first), *_, (many, last) = sorted(seconds.items())
        say(seconds_for_one_more_host=round((last - first) / (many - few), 3),
            first_to_last=f"{few} to {many} hosts")  # fmt: skip

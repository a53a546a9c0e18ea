"""How long a run with nothing to do takes, compared with one ping of the same hosts.

    python tests/faults/figure_nothing_to_do.py [--hosts 8 16 32] [--repeats 3]

For both, connections are open already. Each line it prints is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ansible.module_utils

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY / "tests"), str(Path(__file__).parent)]
ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))

from ssh_machines import RUN_ID, Machines  # noqa: E402

from fleet import images  # noqa: E402

OPEN = "-o ControlMaster=auto -o ControlPersist=240s"


def say(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def seconds_of(do: Callable[[], None]) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started


def measure(machines: Machines, count: int, repeats: int) -> float:
    """Median seconds for each host; run and ping take turns, after one warm-up of each."""
    chosen = {name: {} for name in list(machines.addresses)[:count]}
    inventory = machines.inventory(f"of-{count}", chosen, storage="here")

    def ping() -> None:
        asked = [images.program("ansible"), "benchmark_hosts", "-m", "ansible.builtin.ping"]
        subprocess.run(
            [*asked, "-i", str(inventory)],
            cwd=REPOSITORY,
            env=machines._environment(),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dlrm-nothing-") as folder:
        machines = Machines(Path(folder))
        machines.settings["ANSIBLE_SSH_ARGS"] = OPEN
        try:
            names = [f"far-{number:02}" for number in range(1, max(chosen.hosts) + 1)]
            machines.start(*names)
            for name in names:
                machines.plant_closed_run(name)
            seconds = {count: measure(machines, count, chosen.repeats) for count in chosen.hosts}
        finally:
            machines.remove()
    if len(seconds) > 1:
        (few, first), *_, (many, last) = sorted(seconds.items())
        say(seconds_for_one_more_host=round((last - first) / (many - few), 3),
            first_to_last=f"{few} to {many} hosts")  # fmt: skip


if __name__ == "__main__":
    main()

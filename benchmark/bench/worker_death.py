"""How long a performance stage lasts beyond the death of one of its workers: 10 s at most wanted.

    PYTHONPATH=benchmark/src python benchmark/bench/worker_death.py --repeats 5

The stage runs as in the container, with the real LoadGen; a worker is sent SIGKILL while LoadGen's
query is measured. The stage must end, failed, and name the worker.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import demo
from rounds import surroundings


def children(pid: int) -> list[int]:
    """Processes started by a process, by any of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def workers(stage: int) -> list[int]:
    """The forkserver's children: workers, one a core."""
    return [child for server in children(stage) for child in children(server)]


def measure(folder: Path) -> dict[str, Any]:
    """Kill one worker in the timed part; what happened then."""
    child = demo.start(folder)
    while demo.status(folder).get("phase") != "measuring":
        if child.poll() is not None:
            raise SystemExit(f"the stage ended before it measured: {demo.status(folder)}")
        time.sleep(0.05)
    time.sleep(1)
    victim = workers(child.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    child.communicate()
    seconds = time.monotonic() - killed
    said = demo.status(folder)
    return {
        "seconds": round(seconds, 2),
        "exit_code": child.returncode,
        "state": said.get("state"),
        "message": said.get("message"),
        "names_it": str(victim) in str(said.get("message")),
    }


def main() -> None:
    """Prepare once, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    parameters = {"row_cap": 20_000, "data_rows": 20_000}
    timed = {**parameters, "min_duration_seconds": 30}
    print(json.dumps({**surroundings(), **timed}), flush=True)
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="dlrm-death-") as scratch:
        done = demo.prepare(Path(scratch), "int8", **parameters)
        for number in range(asked.repeats):
            folder = Path(scratch) / f"run-{number}"
            demo.ask(folder, "performance", timed, done)
            print(json.dumps(measure(folder)), flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""How much of our own time 100 machines take: python -m tests.clouds.bench aws|gcp [COUNT].

The server runs in a process of its own, so CPU time, memory and calls are the controller's alone.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "module_utils"))


def main() -> None:
    from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
    from ansible.module_utils.dlrm_fleet.cloud.registry import make
    from ansible.module_utils.dlrm_fleet.cloud.release import release
    from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

    from .worlds import FLEET, WORLDS

    name = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    world = WORLDS[name](Path(tempfile.mkdtemp()))
    os.environ.update(world.environment())
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clouds.stand_in", name, "0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        settings = {**world.settings(), "endpoint_url": server.stdout.readline().strip()}
        provider: Any = make(**settings)
        calls: Counter[str] = Counter()
        ask = provider._guard

        def counted(action: str, function: Callable[[], Any]) -> Any:
            calls[action] += 1
            return ask(action, function)

        provider._guard = counted
        pace = Pace(poll=0.5)
        machines = world.machines(count)
        for what, do in (
            ("create", lambda: acquire(provider, FLEET, machines, pace)),
            ("again", lambda: acquire(provider, FLEET, machines, pace)),
            ("remove", lambda: release(provider, FLEET, pace)),
        ):
            calls.clear()
            wall, cpu = time.perf_counter(), time.process_time()
            do()
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            sys.stdout.write(
                f"{name} {what} {count}: {time.perf_counter() - wall:.1f} s,"
                f" {time.process_time() - cpu:.1f} s of our own CPU time,"
                f" {sum(calls.values()) / count:.2f} calls a machine {dict(calls)},"
                f" {memory} MiB at most\n"
            )
        server.terminate()
    world.server.stop()


if __name__ == "__main__":
    main()

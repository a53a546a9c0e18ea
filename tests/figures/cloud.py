"""How much of our own time many machines of a cloud take, and how many calls.

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

from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
from ansible.module_utils.dlrm_fleet.cloud.registry import make
from ansible.module_utils.dlrm_fleet.cloud.release import release
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from clouds.worlds import FLEET, WORLDS

from . import REPOSITORY, say


def measure(cloud: str, count: int) -> None:
    """`cloud`: aws or gcp; `count`: of machines."""
    world = WORLDS[cloud](Path(tempfile.mkdtemp()))
    os.environ.update(world.environment())
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clouds.stand_in", cloud, "0"],
        cwd=REPOSITORY,
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
            say(
                cloud=cloud,
                what=what,
                machines=count,
                seconds=round(time.perf_counter() - wall, 1),
                own_cpu_seconds=round(time.process_time() - cpu, 1),
                calls_a_machine=round(sum(calls.values()) / count, 2),
                calls=calls,
                most_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            )
        server.terminate()
    world.server.stop()

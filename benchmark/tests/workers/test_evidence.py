"""What else ran on the machine, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
import sys

from dlrm_bench.workers.evidence import Evidence

# Uses one second of CPU time once it gets a message: none of it before the counting begins.
BUSY = """import os, sys, time
os.sched_setaffinity(0, {%d})
sys.stdin.readline()
end = time.process_time() + 1
while time.process_time() < end: pass
"""


def stranger_on(core: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUSY % core], stdin=subprocess.PIPE)


def test_a_stranger_on_the_core_is_other_load_and_a_worker_is_not() -> None:
    core = min(os.sched_getaffinity(0))
    stranger = stranger_on(core)
    as_other = Evidence([core], [])
    as_worker = Evidence([core], [stranger.pid])
    assert stranger.stdin is not None
    stranger.stdin.write(b"now\n")
    stranger.stdin.close()
    # Waiting leaves the process a zombie, whose counters can still be read.
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    worker, other = as_worker.facts(0), as_other.facts(3)
    stranger.wait()
    assert other["other_load_percent"] is not None
    assert worker["other_load_percent"] is not None
    # Whatever else runs on the core: the second is other load in one count and not in the other.
    assert other["other_load_percent"] > worker["other_load_percent"]
    assert other["major_faults"] == 3


def test_the_clock_is_sampled_or_said_to_be_unknown() -> None:
    evidence = Evidence(sorted(os.sched_getaffinity(0)), [])
    evidence.sample()
    frequency = evidence.facts(0)["mean_frequency_mhz"]
    assert frequency is None or 100 < frequency < 10000

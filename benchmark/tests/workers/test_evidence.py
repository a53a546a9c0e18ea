"""What else ran on the machine, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlrm_bench.workers import evidence
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
    seen = Evidence(sorted(os.sched_getaffinity(0)), [])
    seen.sample()
    frequency = seen.facts(0)["mean_frequency_mhz"]
    assert frequency is None or 100 < frequency < 10000


@pytest.mark.parametrize(("name", "unit"), [("throttled_usec", 10**6), ("throttled_time", 10**9)])
def test_time_that_a_quota_took_is_a_share_of_all_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, unit: int
) -> None:
    """Both versions of cgroups; 2 of 4 cores' seconds were taken."""
    stat = tmp_path / "cpu.stat"
    stat.write_text(f"nr_periods 7\n{name} {3 * unit}\n")
    monkeypatch.setattr(evidence, "_CPU_STATS", ((stat, name, 1 / unit),))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    seen = Evidence([0, 1], [])
    stat.write_text(f"nr_periods 9\n{name} {5 * unit}\n")
    clock[0] += 2
    assert seen.facts(0)["throttled_percent"] == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({"cpu.max": "50000 100000\n"}, 0.5, id="v2"),
        pytest.param({"cpu.max": "max 100000\n"}, None, id="v2 without"),
        pytest.param({"quota": "150000\n", "period": "100000\n"}, 1.5, id="v1"),
        pytest.param({"quota": "-1\n", "period": "100000\n"}, None, id="v1 without"),
        pytest.param({"cpu.max": "?"}, None, id="no number"),
        pytest.param({}, None, id="not shown"),
    ],
)
def test_the_quota_is_told_in_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = ((tmp_path / "cpu.max",), (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(evidence, "_CPU_QUOTAS", paths)
    assert Evidence([0], []).facts(0)["quota_cores"] == cores


def test_the_least_quota_that_was_seen_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be put on a running container, and lifted again."""
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(evidence, "_CPU_QUOTAS", ((quota,),))
    quota.write_text("max 100000\n")
    seen = Evidence([0], [])
    quota.write_text("25000 100000\n")
    seen.sample()
    quota.write_text("200000 100000\n")
    assert seen.facts(0)["quota_cores"] == 0.25


def test_a_machine_that_does_not_show_a_quota_is_not_called_free_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_CPU_STATS", ((tmp_path / "none", "throttled_usec", 1.0),))
    assert Evidence([0], []).facts(0)["throttled_percent"] is None

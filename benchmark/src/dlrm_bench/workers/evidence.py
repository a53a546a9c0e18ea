"""What else the machine did while workers were timed: it decides between quiet and noisy."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

#: Reading every core's frequency costs milliseconds on a large machine.
FREQUENCY_SECONDS = 5.0
# cgroup v2, then v1, as a container sees its own: time its processes had to wait for a CPU quota.
_CPU_STATS = (
    (Path("/sys/fs/cgroup/cpu.stat"), "throttled_usec", 1e-6),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), "throttled_time", 1e-9),
    (Path("/sys/fs/cgroup/cpu,cpuacct/cpu.stat"), "throttled_time", 1e-9),
)
# The quota itself and its period, in microseconds: one file in v2, two in v1.
_CPU_QUOTAS: tuple[tuple[Path, ...], ...] = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    *(
        tuple(
            Path("/sys/fs/cgroup", controller, f"cpu.cfs_{part}_us") for part in ("quota", "period")
        )
        for controller in ("cpu", "cpu,cpuacct")
    ),
)
# Columns of /proc/stat, in clock ticks; guest time is already in user and nice.
_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def _core_ticks(cores: Sequence[int]) -> dict[str, int]:
    wanted = {f"cpu{core}" for core in cores}
    total = dict.fromkeys(_COLUMNS, 0)
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in wanted:
            for column, ticks in zip(_COLUMNS, fields, strict=False):
                total[column] += int(ticks)
    return total


def _process_ticks(pids: Sequence[int]) -> int:
    """User and system time of these processes, all threads, in clock ticks."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            # The name in brackets may hold spaces, so fields are counted after it.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
            ticks += sum(int(n) for n in fields.split()[11:13])
    return ticks


def mean_frequency_mhz(cores: Sequence[int]) -> float | None:
    """Mean current clock of these cores; None if the machine does not show it."""
    khz = []
    for core in cores:
        with suppress(OSError, ValueError):
            path = Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
            khz.append(float(path.read_text(encoding="ascii")))
    if khz:
        return sum(khz) / len(khz) / 1000
    told, core_now = [], -1
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "processor":
            core_now = int(value)
        elif key.strip() == "cpu MHz" and core_now in cores:
            told.append(float(value))
    return sum(told) / len(told) if told else None


def throttled_seconds() -> float | None:
    """How long this container waited for its CPU quota, summed over cores; None: not shown."""
    for path, wanted, unit in _CPU_STATS:
        with suppress(OSError, ValueError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(" ")
                if name == wanted:
                    return int(value) * unit
    return None


def quota_cores() -> float | None:
    """Cores that this container's CPU quota leaves; None: there is none, or it is not shown."""
    for paths in _CPU_QUOTAS:
        with suppress(OSError, ValueError):
            words = [word for path in paths for word in path.read_text(encoding="ascii").split()]
            quota, period = map(int, words)
            if quota > 0 and period > 0:
                return quota / period
    return None


class Evidence:
    """Counts from construction to facts(); `pids`: the workers, which are not other load."""

    def __init__(self, cores: Sequence[int], pids: Sequence[int]) -> None:
        self._cores, self._pids = list(cores), [os.getpid(), *pids]
        self._load_before = os.getloadavg()[0]
        self._frequencies: list[float] = []
        self._sampled = time.monotonic()
        self._own, self._cores_before = _process_ticks(self._pids), _core_ticks(cores)
        self._throttled, self._started = throttled_seconds(), time.monotonic()
        self._quotas = [quota_cores()]

    def sample(self) -> None:
        """Record the clock every FREQUENCY_SECONDS; cheap to call often."""
        if time.monotonic() - self._sampled >= FREQUENCY_SECONDS or not self._frequencies:
            frequency = mean_frequency_mhz(self._cores)
            self._frequencies.append(frequency or 0.0)
            self._quotas.append(quota_cores())
            self._sampled = time.monotonic()

    def facts(self, major_faults: int) -> dict[str, float | int | None]:
        """Facts for stage.json; percentages refer to all cores that the workers may use."""
        ticks = _core_ticks(self._cores)
        spent = {name: ticks[name] - self._cores_before[name] for name in ticks}
        total = max(sum(spent.values()), 1)
        own = _process_ticks(self._pids) - self._own
        busy = total - spent["idle"] - spent["iowait"] - spent["steal"]
        known = [f for f in self._frequencies if f > 0]
        quotas = [quota for quota in (*self._quotas, quota_cores()) if quota is not None]
        return {
            "steal_percent": round(100 * spent["steal"] / total, 3),
            "other_load_percent": round(max(0.0, 100 * (busy - own) / total), 3),
            "major_faults": major_faults,
            "mean_frequency_mhz": round(sum(known) / len(known), 1) if known else None,
            "own_percent": round(100 * own / total, 3),
            "throttled_percent": self._throttled_percent(),
            "quota_cores": round(min(quotas), 3) if quotas else None,
            "load_average_before": round(self._load_before, 2),
        }

    def _throttled_percent(self) -> float | None:
        """The part of the cores' time that a CPU quota took."""
        now = throttled_seconds()
        if now is None or self._throttled is None:
            return None
        given = len(self._cores) * max(time.monotonic() - self._started, 1e-9)
        return round(100 * max(0.0, now - self._throttled) / given, 3)

"""The CPU quota that stands on a host's containers, read from its cgroups.

Formats: cgroup-v2.rst (cpu.max), sched-bwc.rst (cpu.cfs_quota_us) of the kernel's documentation;
names of slices: systemd.slice(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# Where engines put containers: Docker with systemd, Docker without, Podman. The root has a quota
# only if the host is itself a container.
PARENTS = ("", "system.slice", "docker", "machine.slice")
DAEMON_FILE = "etc/docker/daemon.json"
_PARENT = re.compile(r'"cgroup-parent"\s*:\s*"/?((?!\.)[\w@:.-]+(?:/(?!\.)[\w@:.-]+)*)/?"')

Text = Callable[[str], str]


def cpu_quota(text: Text, threads: int) -> float | None:
    """Cores that the least quota leaves to a container; None where none takes any of `threads`.

    `text` gives the content of a file below the host's root, empty where there is none. Quotas of
    the login user's own slice do not count: no container of the engine runs there.
    """
    folders = [folder for parent in _parents(text) for folder in _chain(parent)]
    quotas = [quota for folder in folders for quota in _quotas(text, folder)]
    least = min(quotas, default=None)
    return None if least is None or least >= threads else round(least, 3)


def _parents(text: Text) -> tuple[str, ...]:
    chosen = _PARENT.search(text(DAEMON_FILE))
    return PARENTS if chosen is None else ("", chosen[1])


def _chain(parent: str) -> list[str]:
    """The cgroup and all above it: 'a-b.slice' lies in 'a.slice'."""
    if "/" not in parent and parent.endswith(".slice"):
        words = parent[: -len(".slice")].split("-")
        names = [f"{'-'.join(words[: count + 1])}.slice" for count in range(len(words))]
    else:
        names = parent.split("/")
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _quotas(text: Text, folder: str) -> Iterator[float]:
    below = f"{folder}/" if folder else ""
    yield from _cores(text(f"sys/fs/cgroup/{below}cpu.max").split())
    for controller in ("cpu", "cpu,cpuacct"):
        cgroup = f"sys/fs/cgroup/{controller}/{below}"
        yield from _cores([text(f"{cgroup}cpu.cfs_{part}_us") for part in ("quota", "period")])


def _cores(values: list[str]) -> Iterator[float]:
    """[microseconds, period]; 'max', or -1 in cgroup v1, is no quota."""
    if len(values) == 2 and all(re.fullmatch(r"[0-9]{1,18}", value) for value in values):
        quota, period = map(int, values)
        if quota and period:
            yield quota / period

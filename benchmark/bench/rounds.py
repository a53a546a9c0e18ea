"""What all measurements share: who else was busy, which rounds count, where it was measured.

Pure Python: the tables are made where there is neither PyTorch nor numpy.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Of all the machine's CPUs; a round with more of it does not count.
OTHER_LOAD = 0.02
#: Of /proc/stat: user, nice, system, irq, softirq and steal.
_BUSY = (0, 1, 2, 5, 6, 7)


class OtherLoad:
    """What others took of the machine's CPUs from construction to share()."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        """`pids`: the measurement's own processes beside this one, alive until share()."""
        self._pids = list(pids)
        self._began, self._busy, self._own = time.monotonic(), _busy(), self._own_seconds()

    def share(self, more_seconds: float = 0.0) -> float:
        """0 .. 1; steal, what the hypervisor gave to others, is part of it.

        `more_seconds`: CPU time of own processes that were started meanwhile.
        """
        elapsed = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        other = _busy() - self._busy - (self._own_seconds() - self._own) - more_seconds
        return round(max(0.0, other / elapsed), 4)

    def _own_seconds(self) -> float:
        return time.process_time() + sum(map(_process_seconds, self._pids))


def _busy() -> float:
    """CPU seconds of the whole machine."""
    ticks = [int(n) for n in Path("/proc/stat").read_text(encoding="ascii").split()[1:9]]
    return sum(ticks[n] for n in _BUSY) / os.sysconf("SC_CLK_TCK")


def _process_seconds(pid: int) -> float:
    """User and system CPU seconds of a process, all threads."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def session_seconds(leader: int) -> float:
    """CPU seconds of the living processes of a session, and of those children they waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # Ended meanwhile.
            fields = _stat(path)
            if int(fields[3]) == leader:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> list[str]:
    """Fields of /proc/PID/stat behind the name, which is in brackets and may hold spaces."""
    return path.read_text(encoding="utf-8").rpartition(")")[2].split()


def quiet(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rounds that count: at most OTHER_LOAD of other load."""
    return [one for one in rounds if one["other_load"] <= OTHER_LOAD]


def enough(rounds: Sequence[dict[str, Any]]) -> bool:
    """Whether at least half of the rounds count."""
    return bool(rounds) and len(quiet(rounds)) >= len(rounds) / 2


def figure(rounds: Sequence[dict[str, Any]], *path: str) -> dict[str, float] | None:
    """Median, least and most of a value over the rounds that count; None where none has one.

    `path`: the names that lead to the value in a round.
    """
    values = []
    for one in quiet(rounds):
        value: Any = one
        for name in path:
            value = None if value is None else value.get(name)
        if value is not None:
            values.append(value)
    if not values:
        return None
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def surroundings() -> dict[str, Any]:
    """Where, when and on what code it was measured."""
    return {
        "command": " ".join(sys.argv),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": cpu_name(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        "cpus": os.cpu_count(),
        "torch": importlib.metadata.version("torch"),
        "numpy": importlib.metadata.version("numpy"),
    }


def cpu_name(cpuinfo: str) -> str:
    """Model name, family and model: several generations call themselves 'AMD EPYC'.

    `cpuinfo`: text of /proc/cpuinfo; arm64's names no model.
    """
    first = cpuinfo.partition("\n\n")[0]
    parts = (line.partition(":") for line in first.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in parts}
    if "model name" not in fields:
        return platform.machine()
    return f"{fields['model name']} family {fields['cpu family']} model {fields['model']}"


def commit() -> str:
    """Of the working tree, '-dirty' where it is changed; a container is told by COMMIT."""
    if told := os.environ.get("COMMIT"):
        return told
    with suppress(OSError):  # No git in the container.
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent,
        ).stdout.strip()
    return ""


def write(path: Path, kind: str, rounds: Sequence[dict[str, Any]], **content: Any) -> None:
    """The JSON of a measurement; `kind` tells report.py which table it belongs to."""
    document = {
        "kind": kind,
        **surroundings(),
        **content,
        "rounds": len(rounds),
        "quiet_rounds": len(quiet(rounds)),
        "raw": list(rounds),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

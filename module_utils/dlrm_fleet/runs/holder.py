"""The controller that holds a run: which machine, which process, whether it lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.documents import sha256_text
from ..base.rights import as_root


# A user may be kept from seeing the processes of others.
@as_root()
def machine_id() -> str:
    """Equal exactly where process ids mean the same: one machine, boot and pid namespace."""
    parts = []
    for source in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            parts.append(Path(source).read_text().strip())
        except OSError:
            parts.append("")
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    # Hashed: machine-id(5) asks not to publish it.
    return sha256_text(" ".join(parts))[:32]


@as_root()
def process_started(pid: int) -> int | None:
    """Its start, clock ticks since boot (field 22 of /proc/PID/stat, proc(5)); None: no process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def is_same_controller(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("id", "machine_id", "pid", "pid_started"))


def holder(run: dict[str, Any]) -> str:
    """The controller in words: user@host (pid 12)."""
    return f"{run['controller']['id']} (pid {run['controller']['pid']})"

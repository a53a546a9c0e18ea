"""What the kernel says about this host's life: which boot it is, how often memory ran out."""

from __future__ import annotations

from pathlib import Path

from ..base.documents import sha256_text


def boot() -> str:
    """Changes when the host is rebooted; also when a host that is a container is restarted."""
    parts = []
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        # Field 22, starttime (proc(5)): of init, in clock ticks since the machine's boot.
        text = Path("/proc/1/stat").read_text()
        parts.append(text[text.rindex(")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        parts.append("")
    return sha256_text(" ".join(parts))[:16]


def oom_kills() -> int:
    """Processes the kernel ended for lack of memory since boot, on the whole host (proc_vmstat(5)).

    The engine's own OOMKilled sees only containers with a memory limit, and ours have none.
    """
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

"""What the kernel says about this host: which boot this is, how often memory ran out."""

from __future__ import annotations

from pathlib import Path

from ..base.documents import sha256_text
from ..base.rights import as_root


# A user may be kept from seeing process 1.
@as_root()
def boot() -> str:
    """16 hexadecimal digits that change when the host reboots.

    They also change when a host that is a container restarts.
    """
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
    """Processes the kernel killed for lack of memory since boot, on the whole host.

    Source: proc_vmstat(5). The engine's own OOMKilled covers only containers with a memory limit,
    and ours have none.
    """
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

"""host.json, read back: what the host was when it was prepared, and of what machine type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.documents import read_json
from ..base.errors import FleetError
from ..base.lenient import as_dict

CPU_FIELDS = ("vendor", "model", "family", "model_number", "part", "stepping")
ALLOWED = ("allowed_sockets", "allowed_cores", "allowed_threads")


def read_host(root: Path) -> dict[str, Any]:
    """{} where the host has none yet, or a damaged one."""
    try:
        return read_json(root / "host.json")
    except FleetError:
        return {}


def machine_type(host: dict[str, Any]) -> str | None:
    """What a tuned engine depends on: the CPU, its instruction sets, how much of it may be used.

    Neither the machine's name nor its memory, disk or microcode. None: host.json does not say.
    """
    cpu = as_dict(host.get("cpu"))
    if not cpu.get("model") or not cpu.get("allowed_threads"):
        return None
    flags = sorted(name for name, found in as_dict(cpu.get("flags")).items() if found)
    fields = [f"{name}={cpu.get(name)}" for name in (*CPU_FIELDS, *ALLOWED)]
    return ", ".join([f"architecture={host.get('architecture')}", *fields, *flags])

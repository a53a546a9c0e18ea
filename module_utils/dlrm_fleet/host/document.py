"""Reads host.json back, and names the machine type that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..base.lenient import as_dict
from ..wire.documents import read_strictly

CPU_FIELDS = ("vendor", "model", "family", "model_number", "part", "stepping")
ALLOWED = ("allowed_sockets", "allowed_cores", "allowed_threads")


def read_host(root: Path) -> dict[str, Any]:
    """host.json below `root`; {} when it is missing or damaged."""
    try:
        return read_strictly(root / "host.json")
    except FleetError:
        return {}


def machine_type(host: dict[str, Any]) -> str | None:
    """What a tuned inference engine depends on: CPU, instruction sets, how much of it may be used.

    Name, memory, disk and microcode of the machine do not enter. None: host.json does not say. A
    CPU quota enters where there is one, so that machines without keep the keys of earlier releases.
    """
    cpu = as_dict(host.get("cpu"))
    if not cpu.get("model") or not cpu.get("allowed_threads"):
        return None
    flags = sorted(name for name, found in as_dict(cpu.get("flags")).items() if found)
    fields = [f"{name}={cpu.get(name)}" for name in (*CPU_FIELDS, *ALLOWED)]
    if cpu.get("quota_cores") is not None:
        fields.append(f"quota_cores={cpu['quota_cores']}")
    return ", ".join([f"architecture={host.get('architecture')}", *fields, *flags])

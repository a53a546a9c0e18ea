"""vCPUs and memory of EC2's machine types, from their names. Pure."""

from __future__ import annotations

import re


def vcpus(name: str) -> int:
    """0: unknown."""
    found = re.match(r"^[a-z0-9-]+\.(?:metal-)?(\d*)(xl|large|xlarge|medium)", name)
    if not found:
        return 0
    if found.group(2) == "large":
        return 2
    if found.group(2) == "medium":
        return 1
    return 4 * int(found.group(1) or 1)


def gib_per_vcpu(name: str) -> float:
    """0: unknown."""
    return {"r": 8.0, "m": 4.0, "c": 2.0}.get(name[:1], 0.0)

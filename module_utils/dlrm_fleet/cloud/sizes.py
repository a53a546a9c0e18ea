"""vCPUs and memory of machine types, from their names. Pure."""

from __future__ import annotations

import re

# GiB a vCPU: highmem of C4A, C3, N2, N4 and R instances have 8; C4 highmem 7.75.
_GCP_RATIO = {"c4-highmem": 7.75, "c4-standard": 3.75, "c4-highcpu": 2.0}
_FAMILY = {"highmem": 8.0, "standard": 4.0, "highcpu": 2.0}
_AWS_RATIO = {"r": 8.0, "m": 4.0, "c": 2.0}


def vcpus(cloud: str, name: str) -> int:
    """0: unknown."""
    if cloud == "gcp":
        found = re.match(r"^[a-z0-9]+-[a-z]+-(\d+)", name)
        return int(found.group(1)) if found else 0
    found = re.match(r"^[a-z0-9-]+\.(?:metal-)?(\d*)(xl|large|xlarge|medium)", name)
    if not found:
        return 0
    if found.group(2) == "large":
        return 2
    if found.group(2) == "medium":
        return 1
    return 4 * int(found.group(1) or 1)


def memory_gib(cloud: str, name: str) -> float:
    """0: unknown."""
    if cloud == "gcp":
        series, _, family = name.rpartition("-")[0].partition("-")
        family = family.partition("-")[0]
        ratio = _GCP_RATIO.get(f"{series}-{family}", _FAMILY.get(family, 0.0))
    else:
        ratio = _AWS_RATIO.get(name[:1], 0.0)
    return vcpus(cloud, name) * ratio

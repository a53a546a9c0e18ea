"""vCPUs and memory of Compute Engine's machine types, from their names. Pure."""

from __future__ import annotations

import re

# highmem of C4A, C3, N2 and N4 has 8; C4's has 7.75.
_OF_SERIES = {"c4-highmem": 7.75, "c4-standard": 3.75, "c4-highcpu": 2.0}
_OF_FAMILY = {"highmem": 8.0, "standard": 4.0, "highcpu": 2.0}


def vcpus(name: str) -> int:
    """0: unknown."""
    found = re.match(r"^[a-z0-9]+-[a-z]+-(\d+)", name)
    return int(found.group(1)) if found else 0


def gib_per_vcpu(name: str) -> float:
    """0: unknown."""
    series, _, family = name.rpartition("-")[0].partition("-")
    family = family.partition("-")[0]
    return _OF_SERIES.get(f"{series}-{family}", _OF_FAMILY.get(family, 0.0))

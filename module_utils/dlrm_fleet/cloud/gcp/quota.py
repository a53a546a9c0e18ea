"""Explains which quota of Google Cloud was hit, how much is left and how to raise it. Pure."""

from __future__ import annotations

import re

from ..errors import QUOTA, CloudError
from ..model import Machine, Placement
from ..sizes import vcpus


def explain(
    error: CloudError,
    machine: Machine,
    placement: Placement,
    project: str,
    quotas: dict[str, tuple[float, float]],
) -> CloudError:
    """`quotas`: metric -> (limit, usage) of the region."""
    named = re.search(r"Quota '([\w-]+)'", error.why)
    metric = named.group(1) if named else "unknown"
    said = re.search(r"Limit: ([\d.]+)", error.why)
    if metric in quotas:
        limit, usage = quotas[metric]
        left = f"{max(0.0, limit - usage):g} of {limit:g}"
    else:
        left = f"unknown, limit {float(said.group(1).rstrip('.')):g}" if said else "unknown"
    asked = vcpus("gcp", placement.type)
    unit = f"{asked} vCPUs" if "CPUS" in metric and asked else "more"
    region = placement.zone.rsplit("-", 1)[0]
    return CloudError(
        QUOTA,
        f"the quota {metric} of Google Cloud in {region} is used up",
        f"{machine.name} ({placement.type}) asks for {unit}; left: {left}; {error.why}",
        f"Raise it under IAM & Admin > Quotas of project {project} (filter: {metric}, {region}),"
        " then repeat",
        error.action,
    )

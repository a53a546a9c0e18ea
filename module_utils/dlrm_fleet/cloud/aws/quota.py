"""Explains which quota of AWS was hit, how much is left and how to raise it. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..errors import QUOTA, CloudError
from ..model import Machine, Placement
from ..sizes import vcpus

# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
STANDARD = "ACDHIMRTZ"
CODES = {False: "L-1216C47A", True: "L-34B43A08"}


def explain(
    error: CloudError,
    machine: Machine,
    placement: Placement,
    region: str,
    reservations: list[dict[str, Any]],
) -> CloudError:
    """`reservations`: the account's running instances in the region, as EC2 shows them."""
    if "Vcpu" not in error.why and "Spot" not in error.why:
        todo = f"Raise it in Service Quotas (region {region}), then repeat"
        return CloudError(QUOTA, f"{error.what} for {machine.name}", error.why, todo, error.action)
    limit = re.search(r"limit of (\d+)", error.why)
    asked = vcpus("aws", placement.type)
    used = sum(
        _cpus(instance)
        for reservation in reservations
        for instance in reservation["Instances"]
        if instance["InstanceType"][:1].upper() in STANDARD
        and (instance.get("InstanceLifecycle") == "spot") == machine.spot
    )
    kind = (
        "All Standard Spot Instance Requests"
        if machine.spot
        else ("Running On-Demand Standard instances")
    )
    left = f"{max(0, int(limit.group(1)) - used)} of {limit.group(1)}" if limit else "unknown"
    code = CODES[machine.spot]
    return CloudError(
        QUOTA,
        f"the quota {kind} of AWS ({code}, vCPUs in {region}) is used up",
        f"{machine.name} ({placement.type}) asks for {asked or '?'} vCPUs;"
        f" left: {left}; {error.why}",
        f"Raise it: aws service-quotas request-service-quota-increase --region {region}"
        f" --service-code ec2 --quota-code {code} --desired-value N; then repeat",
        error.action,
    )


def _cpus(instance: dict[str, Any]) -> int:
    options = instance.get("CpuOptions") or {}
    shown = int(options.get("CoreCount", 0)) * int(options.get("ThreadsPerCore", 1))
    return vcpus("aws", instance["InstanceType"]) or shown

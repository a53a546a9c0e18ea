"""The price of machines by the dated price table; checks of the budget and of sizes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import FleetError
from ..base.wording import span, usd
from .model import Disk, Machine
from .provider import Cloud

HOURS_A_MONTH = 730


def machine_rate(prices: dict[str, Any], cloud: str, type_name: str) -> float:
    """USD an hour, on demand. A spot machine counts the same, because its own price moves."""
    table = prices.get(cloud, {}).get("machines", {})
    if type_name not in table:
        raise FleetError(
            f"no price is known for {type_name} on {cloud}",
            f"the table of {prices.get('as_of', 'unknown date')} lists"
            f" {', '.join(sorted(table)) or 'nothing'}",
            "Add its price to dlrm_instances_prices; the budget needs it",
        )
    return float(table[type_name])


def disk_rate(prices: dict[str, Any], cloud: str, disk: Disk) -> float:
    """USD an hour of the size, and of IOPS and throughput beyond the free ones."""
    table = prices.get(cloud, {}).get("disk", {})
    month = disk.size_gib * float(table.get("gib_month", 0))
    month += max(0, (disk.iops or 0) - int(table.get("free_iops", 0))) * float(
        table.get("iops_month", 0)
    )
    month += max(0, (disk.throughput or 0) - int(table.get("free_throughput", 0))) * float(
        table.get("throughput_month", 0)
    )
    return month / HOURS_A_MONTH


def hourly(prices: dict[str, Any], cloud: str, machine: Machine) -> float:
    """USD an hour of the dearest of its types, because which one it gets is not known before."""
    types = {placement.type for placement in machine.placements}
    rate = max(machine_rate(prices, cloud, name) for name in types)
    address = float(prices.get(cloud, {}).get("address_hour", 0))
    public = bool(machine.network.get("public_address", True))
    return rate + disk_rate(prices, cloud, machine.disk) + (address if public else 0)


def check_budget(cost: float, budget: float | None, ttl_seconds: int) -> float:
    """The budget. `cost`: of the whole TTL. Raises FleetError without a budget or beyond it."""
    if budget is None or budget <= 0:
        raise FleetError(
            "dlrm_budget_usd is missing",
            f"the fleet may cost {usd(cost)} until its TTL of {span(ttl_seconds)}",
            "Set the most that it may cost: -e dlrm_budget_usd=...",
        )
    if cost > budget:
        raise FleetError(
            "the fleet is over budget",
            f"it may cost {usd(cost)} until its TTL of {span(ttl_seconds)}, but dlrm_budget_usd"
            f" allows {usd(budget)}",
            "Use fewer or smaller machines or a shorter TTL, or raise dlrm_budget_usd",
        )
    return budget


def check_fit(cloud: Cloud, machines: Sequence[Machine], memory: float, disk: float) -> None:
    """`memory`, `disk`: GiB the run needs on a benchmark host. A type of unknown size passes."""
    small: list[str] = []
    for machine in machines:
        if "benchmark" not in machine.role.split("-"):
            continue
        for name in dict.fromkeys(placement.type for placement in machine.placements):
            has = cloud.memory_gib(name)
            if has and has < memory:
                small.append(f"{name} has {has:g} GiB of memory, the run needs {memory:g}")
        if machine.disk.size_gib < disk:
            small.append(
                f"group {machine.group} has {machine.disk.size_gib} GiB of disk, the run needs"
                f" {disk:g}"
            )
    if small:
        raise FleetError(
            "the machines do not fit the run",
            "; ".join(dict.fromkeys(small)),
            "Choose a larger type or disk in dlrm_instances_fleet_*",
        )

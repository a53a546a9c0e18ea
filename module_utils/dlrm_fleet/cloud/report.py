"""Plan and machines as lines for people and as data for modules. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..base.times import format_time
from ..base.wording import span, usd
from .budget import hourly
from .model import Found, Leftover, Machine
from .plan import Plan
from .provider import Cloud


def plan_lines(
    cloud: Cloud, plan: Plan, machines: list[Machine], prices: dict[str, Any], budget: float
) -> list[str]:
    """The lines that a person reads before agreeing to the plan."""
    first = machines[0] if machines else None
    lines = [
        f"{cloud.name}: {len(plan.create)} to create, {len(plan.keep)} there already,"
        f" {len(plan.remove)} to remove"
    ]
    lines += [f"  = {item.name}  {item.type}  {item.zone}{_until(item)}" for item in plan.keep]
    lines += [_creation(cloud, machine, prices) for machine in plan.create]
    lines += [f"  - {item.name}  {plan.reasons[item.id]}" for item in plan.remove]
    if first is not None:
        rate = sum(hourly(prices, cloud.name, machine) for machine in machines)
        cost = rate * first.ttl_seconds / 3600
        lines += [
            f"price: {usd(rate)} an hour, {usd(cost)} until the TTL of {span(first.ttl_seconds)};"
            f" dlrm_budget_usd {usd(budget)}",
            f"       (list prices as of {prices.get('as_of')}, {prices.get('note', 'check them')})",
            f"ends: by the cloud: {cloud.ended_by[0]}; by the host: {cloud.ended_by[1]}",
            f"bills after that: {cloud.still_bills}",
        ]
    return lines


def _until(item: Found) -> str:
    return f"  until {format_time(item.expires_at)}" if item.expires_at else ""


def _creation(cloud: Cloud, machine: Machine, prices: dict[str, Any]) -> str:
    types = list(dict.fromkeys(placement.type for placement in machine.placements))
    zones = list(dict.fromkeys(placement.zone for placement in machine.placements))
    memory = cloud.memory_gib(types[0])
    return (
        f"  + {machine.name}  {' or '.join(types)}  {', then '.join(zones)}"
        f"  {'spot' if machine.spot else 'on demand'}"
        f"  {f'{memory:g}' if memory else '?'} GiB memory, {machine.disk.size_gib} GiB disk"
        f"  {usd(hourly(prices, cloud.name, machine))}/h"
    )


def machine_data(cloud: str, item: Found, prices: dict[str, Any], now: datetime) -> dict[str, Any]:
    """For modules' results. `cost_usd`: until now, without the disk; None if no price is known."""
    age = max(0.0, (now - item.created_at).total_seconds()) if item.created_at else 0.0
    rate = prices.get(cloud, {}).get("machines", {}).get(item.type)
    return {
        "cloud": cloud,
        "id": item.id,
        "name": item.name,
        "fleet": item.labels.get("fleet", ""),
        "type": item.type,
        "zone": item.zone,
        "state": item.state,
        "public_address": item.public_address,
        "private_address": item.private_address,
        "spot": item.spot,
        "live": item.live,
        "role": item.labels.get("role", ""),
        "keep": item.labels.get("keep") == "true",
        "hourly_usd": None if rate is None else float(rate),
        "created_at": format_time(item.created_at) if item.created_at else "",
        "expires_at": format_time(item.expires_at) if item.expires_at else "",
        "protected": item.protected_until is not None,
        "age": span(age),
        "cost_usd": None if rate is None else round(float(rate) * age / 3600, 2),
    }


def orphan_lines(
    cloud: str, machines: list[dict[str, Any]], leftovers: list[Leftover]
) -> list[str]:
    """One line for each: what it is, how old, what it cost, and when the cloud ends it."""
    lines = []
    for item in machines:
        cost = "unknown cost" if item["cost_usd"] is None else f"{usd(item['cost_usd'])} so far"
        end = f"ends {item['expires_at']}" if item["protected"] else "NOTHING ENDS IT"
        lines.append(
            f"{cloud} {item['fleet']} {item['name']} {item['type']} {item['zone']}"
            f" {item['state']}, age {item['age']}, {cost}, {end}"
        )
    lines += [f"{cloud} {item.kind} {item.id} {item.place}" for item in leftovers]
    return lines or [f"{cloud}: nothing of ours is there"]

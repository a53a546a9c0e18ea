"""Compares wanted with found machines: what to create, remove and wait for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ..base.errors import FleetError
from .model import ENDING, GONE, STOPPED, Found, Machine, ours

_NEVER = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Plan:
    """`reasons`: why each id is removed. `generations`: the first generation to try, by name."""

    keep: list[Found]
    create: list[Machine]
    remove: list[Found]
    waiting: list[Found]
    reasons: dict[str, str]
    generations: dict[str, int]

    @property
    def changes(self) -> bool:
        return bool(self.create or self.remove)


def age_order(found: Found) -> tuple[datetime, str]:
    """Sorts the oldest first. The id decides between equals, so that all controllers agree."""
    return (found.created_at or _NEVER, found.id)


def make_plan(fleet: str, machines: Sequence[Machine], found: Iterable[Found]) -> Plan:
    """Raises FleetError if a found machine has a type that its group does not name."""
    mine = sorted((item for item in found if ours(item.labels, fleet)), key=age_order)
    wanted = {machine.name: machine for machine in machines}
    plan = Plan([], [], [], [], {}, {})
    kept: dict[str, Found] = {}
    for item in mine:
        name = item.machine
        if item.state == GONE:
            plan.generations[name] = max(plan.generations.get(name, 0), item.generation + 1)
        elif item.state == ENDING:
            plan.waiting.append(item)
            plan.generations[name] = max(plan.generations.get(name, 0), item.generation + 1)
        elif name not in wanted:
            _remove(plan, item, "it is not wanted any more")
        elif item.state == STOPPED:
            _remove(plan, item, "it is stopped: it cannot run, and its disk bills")
        elif name in kept:
            _remove(plan, item, f"it duplicates {kept[name].id}, which is older")
        else:
            kept[name] = item
    _refuse_other_types(wanted, kept)
    plan.keep.extend(kept.values())
    plan.create.extend(machine for name, machine in wanted.items() if name not in kept)
    return plan


def _remove(plan: Plan, item: Found, reason: str) -> None:
    plan.remove.append(item)
    plan.reasons[item.id] = reason


def _refuse_other_types(wanted: dict[str, Machine], kept: dict[str, Found]) -> None:
    other = [
        f"{name} is a {item.type} ({', '.join(_types(wanted[name]))} wanted)"
        for name, item in sorted(kept.items())
        if item.type not in _types(wanted[name])
    ]
    if other:
        raise FleetError(
            "the fleet has machines of another type",
            "; ".join(other),
            "Nothing was changed. Tear the fleet down first (playbooks/teardown.yml), or give the"
            " new fleet another name (dlrm_instances_fleet_name)",
        )


def _types(machine: Machine) -> list[str]:
    return list(dict.fromkeys(placement.type for placement in machine.placements))

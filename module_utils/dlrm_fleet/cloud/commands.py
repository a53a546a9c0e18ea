"""What the modules do with a cloud. Check mode, diff and the real run share one code path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base.times import utc_now
from ..wire.ssh_keys import is_host_key
from . import budget as budget_rules, ttl
from .acquire import acquire, survey
from .desired import machines as read_machines
from .host_keys import write
from .model import GONE, Found, Machine
from .provider import Access, Provider
from .registry import find
from .release import doomed, release
from .report import machine_data, orphan_lines, plan_lines
from .retry import Pace, call

# The options by which a module names a cloud: the first fields of FleetRequest, without the fleet.
CLOUD_OPTIONS: dict[str, Any] = {
    "cloud": {"type": "str", "required": True},
    "regions": {"type": "list", "elements": "str"},
    "project": {"type": "str", "default": ""},
    "scheduler_role": {"type": "str", "default": ""},
    "endpoint_url": {"type": "str", "default": ""},
    "prices": {"type": "dict", "default": {}},
}
# Host keys appear some seconds to minutes after the machine runs.
HOST_KEY_PATIENCE = 600.0


@dataclass(frozen=True)
class FleetRequest:
    """What is asked of one cloud: the options of dlrm_instance, or the first of dlrm_instance_info.

    `groups`: as inventories describe them, unchecked; `names`: empty means the whole fleet.
    """

    cloud: str
    fleet: str
    regions: list[str] | None
    project: str
    scheduler_role: str
    endpoint_url: str
    prices: dict[str, Any]
    groups: dict[str, Any] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    ssh_public_key: str = ""
    names: list[str] = field(default_factory=list)
    ttl_seconds: int = 0
    deadline_seconds: int = 0
    transfer_seconds: int = 0
    budget_usd: float | None = None
    memory_gib: float = 0
    disk_gib: float = 0

    def access(self) -> Access:
        return Access(self.regions, self.project, self.scheduler_role, self.endpoint_url)

    def provider(self) -> Provider:
        return find(self.cloud).open(self.access())

    def own_prices(self) -> dict[str, Any]:
        return find(self.cloud).with_prices(self.prices)

    def machines(self) -> list[Machine]:
        """The described machines; groups that name no login key get the fleet's."""
        groups = {
            name: {"ssh_public_key": self.ssh_public_key, **group}
            if isinstance(group, dict)
            else group
            for name, group in self.groups.items()
        }
        return read_machines(self.fleet, groups, self.chosen, self.ttl_seconds)


def present(asked: FleetRequest, check_mode: bool) -> dict[str, Any]:
    """Acquire the described machines; in check mode only plan them."""
    cloud, fleet, prices = find(asked.cloud), asked.fleet, asked.own_prices()
    cloud.check_creation(asked.access())
    wanted = asked.machines()
    ttl.check(asked.ttl_seconds, asked.deadline_seconds, asked.transfer_seconds)
    budget_rules.check_fit(cloud, wanted, asked.memory_gib, asked.disk_gib)
    rate = sum(budget_rules.hourly(prices, cloud.name, machine) for machine in wanted)
    cost = rate * asked.ttl_seconds / 3600
    budget = budget_rules.check_budget(cost, asked.budget_usd, asked.ttl_seconds)
    provider, pace = asked.provider(), Pace()
    plan = survey(provider, fleet, wanted, pace)
    lines = plan_lines(cloud, plan, wanted, prices, budget)
    before = [item.name for item in [*plan.keep, *plan.remove]]
    after = [machine.name for machine in wanted]
    live, created = plan.keep, [machine.name for machine in plan.create]
    if not check_mode:
        acquired = acquire(provider, fleet, wanted, pace)
        live, created = acquired.machines, acquired.created
    result = _result(asked, plan.changes, lines, live, before, after)
    shown = [{"name": item.name, "role": item.role, "keep": item.keep} for item in wanted]
    return {**result, "cost_usd": round(cost, 2), "created": created, "wanted": shown,
            "removed": [item.name for item in plan.remove]}  # fmt: skip


def absent(asked: FleetRequest, check_mode: bool) -> dict[str, Any]:
    """Remove the fleet or its named machines, and what belongs to them."""
    provider, pace, fleet = asked.provider(), Pace(), asked.fleet
    names = asked.names or None
    mine = doomed(provider, fleet, names, pace)
    left = [
        item
        for item in call(pace, lambda: provider.leftovers(fleet))
        if names is None or item.labels.get("machine") in names
    ]
    lines = [f"{asked.cloud}: {len(mine)} machines of fleet {fleet} to remove"]
    lines += [f"  - {item.name}  {item.type}  {item.zone}  {item.state}" for item in mine]
    lines += [f"  - {item.kind} {item.id}  {item.place}" for item in left]
    if not check_mode:
        release(provider, fleet, pace, names)
    before = [item.name for item in mine] + [item.id for item in left]
    return _result(asked, bool(before), lines, [], before, [])


def _result(
    asked: FleetRequest,
    changed: bool,
    lines: list[str],
    live: list[Found],
    before: list[str],
    after: list[str],
) -> dict[str, Any]:
    return {
        "changed": changed,
        "plan": lines,
        "machines": _data(asked, live),
        "diff": {
            "before": "".join(f"{name}\n" for name in sorted(before)),
            "after": "".join(f"{name}\n" for name in sorted(after)),
        },
    }


def _data(asked: FleetRequest, found: list[Found]) -> list[dict[str, Any]]:
    now, prices = utc_now(), asked.own_prices()
    return [machine_data(asked.cloud, item, prices, now) for item in found]


def information(asked: FleetRequest, known_hosts: str | None, check_mode: bool) -> dict[str, Any]:
    """Our machines and what else bills in the configured regions; without a fleet, of all."""
    provider, pace = asked.provider(), Pace()
    fleet = asked.fleet or None
    found = call(pace, lambda: provider.list_machines(fleet))
    shown = [item for item in found if item.state != GONE]
    left = call(pace, lambda: provider.leftovers(fleet))
    machines = _data(asked, shown)
    result: dict[str, Any] = {
        "lines": orphan_lines(asked.cloud, machines, left),
        "machines": machines,
        "leftovers": [{"kind": i.kind, "id": i.id, "place": i.place} for i in left],
        "changed": False,
    }
    if known_hosts and not check_mode:
        result["host_keys_missing"] = write_host_keys(provider, shown, known_hosts, pace)
    return result


def write_host_keys(provider: Provider, found: list[Found], path: str, pace: Pace) -> list[str]:
    """Writes live machines' host keys into the file; returns the machines that show none yet."""
    until = pace.clock() + min(HOST_KEY_PATIENCE, pace.patience)
    keys: dict[str, list[str]] = {}
    waiting = [item for item in found if item.live]
    while waiting:
        still: list[Found] = []
        for item in waiting:
            told = call(pace, lambda: provider.host_keys(item))  # noqa: B023 (called at once)
            # Guest attributes can be written from within the machine: only keys get into the file.
            shown = [key for key in told if is_host_key(key)]
            if not shown:
                still.append(item)
            for address in (item.public_address, item.private_address):
                if shown and address:
                    keys[address] = shown
        waiting = still
        if pace.clock() >= until:
            break
        if waiting:
            pace.sleep(pace.poll)
    write(path, keys)
    return sorted(item.name for item in waiting)

"""What the modules do with a cloud. Check mode, diff and the real run share one code path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.times import utc_now
from . import price, ttl
from .acquire import acquire, survey
from .desired import machines as read_machines
from .host_keys import merge, write
from .model import GONE, Found, Machine
from .provider import Provider
from .registry import CLOUDS, make
from .release import doomed, release
from .report import machine_data, orphan_lines, plan_lines
from .retry import Pace, call

# How a module's options name a cloud: the first fields of FleetRequest, all but the fleet.
CLOUD_OPTIONS: dict[str, Any] = {
    "cloud": {"type": "str", "required": True, "choices": list(CLOUDS)},
    "regions": {"type": "list", "elements": "str", "default": []},
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
    regions: list[str]
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

    def provider(self) -> Provider:
        return make(self.cloud, self.regions, self.project, self.scheduler_role, self.endpoint_url)

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
    """Machines as described; in check mode only the plan."""
    cloud, fleet, prices = asked.cloud, asked.fleet, asked.prices
    wanted = asked.machines()
    ttl.check(asked.ttl_seconds, asked.deadline_seconds, asked.transfer_seconds)
    price.check_fit(cloud, wanted, asked.memory_gib, asked.disk_gib)
    rate = sum(price.hourly(prices, cloud, machine) for machine in wanted)
    cost = rate * asked.ttl_seconds / 3600
    budget = price.check_budget(cost, asked.budget_usd, asked.ttl_seconds)
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
    """The fleet, or the named machines of it, and what belongs to them, gone."""
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
    now = utc_now()
    return {
        "changed": changed,
        "plan": lines,
        "machines": [machine_data(asked.cloud, item, asked.prices, now) for item in live],
        "diff": {
            "before": "".join(f"{name}\n" for name in sorted(before)),
            "after": "".join(f"{name}\n" for name in sorted(after)),
        },
    }


def information(asked: FleetRequest, known_hosts: str | None, check_mode: bool) -> dict[str, Any]:
    """Everything ours in the configured regions, and what else bills; no fleet named: of all."""
    provider, pace, now = asked.provider(), Pace(), utc_now()
    fleet = asked.fleet or None
    found = call(pace, lambda: provider.list_machines(fleet))
    shown = [item for item in found if item.state != GONE]
    left = call(pace, lambda: provider.leftovers(fleet))
    machines = [machine_data(asked.cloud, item, asked.prices, now) for item in shown]
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
    """Writes running machines' keys into the file; returns the machines that show none yet."""
    until = pace.clock() + min(HOST_KEY_PATIENCE, pace.patience)
    keys: dict[str, list[str]] = {}
    waiting = [item for item in found if item.live]
    while waiting:
        still: list[Found] = []
        for item in waiting:
            shown = call(pace, lambda: provider.host_keys(item))  # noqa: B023 (called at once)
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
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    write(path, merge(text, keys))
    return sorted(item.name for item in waiting)

"""What the modules do with a cloud: one code path for check mode, diff and the real thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base.times import utc_now
from . import price, ttl
from .acquire import acquire, survey
from .desired import machines as read_machines
from .host_keys import merge, write
from .model import Found
from .provider import Provider
from .registry import find, make
from .release import doomed, release
from .report import machine_data, orphan_lines, plan_lines
from .retry import Pace, call

# Host keys appear some seconds to minutes after the machine runs.
HOST_KEY_PATIENCE = 600.0


def present(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Machines as described; in check mode only the plan."""
    cloud, fleet = find(params["cloud"]), params["fleet"]
    cloud.check_creation(params)
    prices = cloud.with_prices(params["prices"])
    groups = {
        name: {"ssh_public_key": params["ssh_public_key"], **group}
        if isinstance(group, dict)
        else group
        for name, group in params["groups"].items()
    }
    wanted = read_machines(fleet, groups, params["chosen"], params["ttl_seconds"])
    ttl.check(params["ttl_seconds"], params["deadline_seconds"], params["transfer_seconds"])
    price.check_fit(cloud, wanted, params["memory_gib"], params["disk_gib"])
    rate = sum(price.hourly(prices, cloud.name, machine) for machine in wanted)
    cost = rate * params["ttl_seconds"] / 3600
    price.check_budget(cost, params["budget_usd"], params["ttl_seconds"])
    provider, pace = make(params), Pace()
    plan = survey(provider, fleet, wanted, pace)
    lines = plan_lines(cloud, plan, wanted, prices, params["budget_usd"])
    before = [item.name for item in [*plan.keep, *plan.remove]]
    after = [machine.name for machine in wanted]
    live, created = plan.keep, [machine.name for machine in plan.create]
    if not check_mode:
        acquired = acquire(provider, fleet, wanted, pace)
        live, created = acquired.machines, acquired.created
    result = _result(params, plan.changes, lines, live, before, after)
    shown = [{"name": item.name, "role": item.role, "keep": item.keep} for item in wanted]
    return {**result, "cost_usd": round(cost, 2), "created": created, "wanted": shown,
            "removed": [item.name for item in plan.remove]}  # fmt: skip


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """The fleet, or the named machines of it, and what belongs to them, gone."""
    provider, pace, fleet = make(params), Pace(), params["fleet"]
    names = params["names"] or None
    mine = doomed(provider, fleet, names, pace)
    left = [
        item
        for item in call(pace, lambda: provider.leftovers(fleet))
        if names is None or item.labels.get("machine") in names
    ]
    lines = [f"{params['cloud']}: {len(mine)} machines of fleet {fleet} to remove"]
    lines += [f"  - {item.name}  {item.type}  {item.zone}  {item.state}" for item in mine]
    lines += [f"  - {item.kind} {item.id}  {item.place}" for item in left]
    if not check_mode:
        release(provider, fleet, pace, names)
    before = [item.name for item in mine] + [item.id for item in left]
    return _result(params, bool(before), lines, [], before, [])


def _result(
    params: dict[str, Any],
    changed: bool,
    lines: list[str],
    live: list[Found],
    before: list[str],
    after: list[str],
) -> dict[str, Any]:
    return {
        "changed": changed,
        "plan": lines,
        "machines": _data(params, live),
        "diff": {
            "before": "".join(f"{name}\n" for name in sorted(before)),
            "after": "".join(f"{name}\n" for name in sorted(after)),
        },
    }


def _data(params: dict[str, Any], found: list[Found]) -> list[dict[str, Any]]:
    name, now = params["cloud"], utc_now()
    prices = find(name).with_prices(params["prices"])
    return [machine_data(name, item, prices, now) for item in found]


def information(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Everything ours in the configured regions, and what else bills."""
    provider, pace = make(params), Pace()
    fleet = params["fleet"] or None
    found = call(pace, lambda: provider.list_machines(fleet))
    shown = [item for item in found if item.state != "gone"]
    left = call(pace, lambda: provider.leftovers(fleet))
    machines = _data(params, shown)
    result: dict[str, Any] = {
        "lines": orphan_lines(params["cloud"], machines, left),
        "machines": machines,
        "leftovers": [{"kind": i.kind, "id": i.id, "place": i.place} for i in left],
        "changed": False,
    }
    if params["known_hosts"] and not check_mode:
        result["host_keys_missing"] = write_host_keys(provider, shown, params["known_hosts"], pace)
    return result


def write_host_keys(provider: Provider, found: list[Found], path: str, pace: Pace) -> list[str]:
    """Keys of running machines into the file; the names of those that show none yet."""
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

"""Ends machines by their labels and sees that nothing of them is left. No cloud's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base.errors import FleetError
from .model import ENDING, GONE, Found, Leftover, ours
from .plan import age_order
from .provider import Provider
from .retry import Pace, call, parallel

# Requests to end machines carry this many at most.
BATCH = 100


def doomed(provider: Provider, fleet: str, names: Sequence[str] | None, pace: Pace) -> list[Found]:
    """What a teardown would end; refuses a name that is not ours."""
    found = call(pace, lambda: provider.list_machines(fleet))
    mine = [item for item in found if ours(item.labels, fleet) and item.state != GONE]
    if names is None:
        return sorted(mine, key=age_order)
    strangers = sorted(set(names) - {item.machine for item in mine})
    if strangers:
        raise FleetError(
            f"refused to remove {', '.join(strangers)}",
            f"no machine with the labels of fleet {fleet!r} has that name; without them it is not"
            " ours",
            "Leave the name out, or remove that machine by hand",
        )
    return sorted((item for item in mine if item.machine in names), key=age_order)


def release(
    provider: Provider, fleet: str, pace: Pace, names: Sequence[str] | None = None
) -> list[str]:
    """Ends the fleet (or some of it) and its disks, addresses and schedules; returns the names."""
    mine = doomed(provider, fleet, names, pace)
    end(provider, fleet, mine, pace)
    _clear(provider, fleet, names, pace)
    return [item.name for item in mine]


def end(provider: Provider, fleet: str, machines: Iterable[Found], pace: Pace) -> None:
    """Until the cloud shows none of them any more. Only what still carries our labels is ended."""
    wanted = {item.id for item in machines}
    until = pace.until()
    while wanted:
        found = call(pace, lambda: provider.list_machines(fleet))
        left = [
            item
            for item in found
            if item.id in wanted and ours(item.labels, fleet) and item.state != GONE
        ]
        if not left:
            return
        _delete(provider, [item for item in left if item.state != ENDING], pace)
        if pace.clock() >= until:
            raise FleetError(
                f"{len(left)} machines of fleet {fleet!r} are not gone",
                f"after {pace.patience:.0f} s the cloud still shows "
                + ", ".join(f"{item.name} ({item.state}, {item.zone})" for item in left),
                "Repeat playbooks/teardown.yml; look at the cloud's console if it stays",
            )
        pace.sleep(pace.poll)


def _delete(provider: Provider, machines: Sequence[Found], pace: Pace) -> None:
    batches = [list(machines[at : at + BATCH]) for at in range(0, len(machines), BATCH)]
    for batch in batches:
        call(pace, lambda: provider.delete(batch))  # noqa: B023 (called at once)


def _clear(provider: Provider, fleet: str, names: Sequence[str] | None, pace: Pace) -> None:
    until = pace.until()

    def mine() -> list[Leftover]:
        return [
            item
            for item in call(pace, lambda: provider.leftovers(fleet))
            if names is None or item.labels.get("machine") in names
        ]

    while True:
        left = mine()
        if not left:
            return
        for result in parallel(pace, lambda item: call(pace, lambda: provider.remove(item)), left):
            if isinstance(result, Exception) and pace.clock() >= until:
                raise result
        if pace.clock() >= until:
            raise FleetError(
                f"fleet {fleet!r} left {len(left)} things that bill or act",
                ", ".join(f"{item.kind} {item.id} ({item.place})" for item in left),
                "Repeat playbooks/teardown.yml; look at the cloud's console if they stay",
            )
        pace.sleep(pace.poll)

"""Ends machines by their labels and checks that nothing of them is left. Knows no cloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base.errors import FleetError
from .model import ENDING, GONE, Found, Leftover, ours
from .plan import age_order
from .provider import Provider
from .retry import Pace, call, parallel

# One request ends at most this many machines.
BATCH = 100


def doomed(provider: Provider, fleet: str, names: Sequence[str] | None, pace: Pace) -> list[Found]:
    """The machines that a teardown would end, oldest first. Refuses a name that is not ours."""
    found = call(pace, lambda: provider.list_machines(fleet))
    mine = [item for item in found if ours(item.labels, fleet) and item.state != GONE]
    if names is None:
        return sorted(mine, key=age_order)
    strangers = sorted(set(names) - {item.machine for item in mine})
    if strangers:
        raise FleetError(
            f"refused to remove {', '.join(strangers)}",
            f"no machine with this name carries the labels of fleet {fleet!r}, so it is not ours",
            "Leave the name out, or remove the machine by hand",
        )
    return sorted((item for item in mine if item.machine in names), key=age_order)


def release(
    provider: Provider, fleet: str, pace: Pace, names: Sequence[str] | None = None
) -> list[str]:
    """Ends the fleet or its named machines, and their disks, addresses and schedules.

    Returns the machines' names.
    """
    mine = doomed(provider, fleet, names, pace)
    end(provider, fleet, mine, pace)
    _clear(provider, fleet, names, pace)
    return [item.name for item in mine]


def end(provider: Provider, fleet: str, machines: Iterable[Found], pace: Pace) -> None:
    """Ends what still carries our labels; returns once the cloud shows none of it any more."""
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
                "Run playbooks/teardown.yml again; if they stay, look at the cloud's console",
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
                f"{len(left)} disks, addresses or schedules of fleet {fleet!r} are not gone",
                ", ".join(f"{item.kind} {item.id} ({item.place})" for item in left),
                "Run playbooks/teardown.yml again; if they stay, look at the cloud's console",
            )
        pace.sleep(pace.poll)

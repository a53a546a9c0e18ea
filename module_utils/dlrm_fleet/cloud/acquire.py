"""From a plan to machines: creates, adopts, removes what is half made. No cloud's own words."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..base.errors import FleetError
from .errors import CAPACITY, EXISTS, QUOTA, STALE, CloudError
from .model import PENDING, Found, Machine, Placement, token
from .plan import Plan, age_order, make_plan
from .provider import Provider
from .release import end
from .retry import Pace, call, parallel

# How often an earlier request's outcome is stepped over: a machine made and ended many times.
MAX_GENERATIONS = 64
# How often twins and vanished machines are set right before giving up.
ROUNDS = 4
# How often the list is asked for a machine whose request had no clear answer.
LOOKS = 6


@dataclass
class Acquired:
    machines: list[Found]
    created: list[str]
    removed: list[str]


def survey(provider: Provider, fleet: str, machines: Sequence[Machine], pace: Pace) -> Plan:
    """The plan, changing nothing."""
    return make_plan(fleet, machines, call(pace, lambda: provider.list_machines(fleet)))


def acquire(provider: Provider, fleet: str, machines: Sequence[Machine], pace: Pace) -> Acquired:
    """All wanted machines run and are protected, or what this call made is gone again."""
    created: set[str] = set()
    removed: list[str] = []
    for _ in range(ROUNDS):
        plan = survey(provider, fleet, machines, pace)
        if plan.remove or (plan.create and plan.waiting):
            removed += [item.name for item in plan.remove]
            blocking = {machine.name for machine in plan.create} | {i.machine for i in plan.remove}
            waited = [item for item in plan.waiting if item.machine in blocking]
            end(provider, fleet, [*plan.remove, *waited], pace)
            plan = survey(provider, fleet, machines, pace)
        created |= {machine.name for machine in plan.create}
        try:
            _create_all(provider, plan, pace)
            live = _await_running(provider, fleet, machines, pace)
            _protect_all(provider, live, pace)
        except FleetError as error:
            raise _undone(provider, fleet, created, pace, error) from error
        again = survey(provider, fleet, machines, pace)
        if not again.changes:
            live = sorted(again.keep, key=lambda item: item.name)
            return Acquired(live, sorted(created), removed)
    raise _undone(
        provider, fleet, created, pace,
        FleetError(
            f"fleet {fleet!r} does not settle",
            f"machines still appear or vanish after {ROUNDS} rounds",
            "See whether another controller works on the same fleet, then repeat",
        ),
    )  # fmt: skip


def _create_all(provider: Provider, plan: Plan, pace: Pace) -> None:
    """Raises the first error; on one, requests that have not begun are not begun."""
    results = parallel(
        pace,
        lambda machine: _create(provider, machine, plan.generations.get(machine.name, 0), pace),
        plan.create,
        threading.Event(),
    )
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        # A clear refusal explains more than a time-out beside it.
        raise min(errors, key=lambda error: isinstance(error, CloudError) and error.transient)


def _create(provider: Provider, machine: Machine, generation: int, pace: Pace) -> Found | None:
    """Zones in order, then types. Only a clear refusal for want of capacity leads to the next."""
    tried: list[str] = []
    for placement in machine.placements:
        try:
            return _create_there(provider, machine, placement, generation, pace)
        except CloudError as error:
            if error.kind != CAPACITY:
                raise
            tried.append(f"{placement.type} in {placement.zone} ({error.why})")
    raise CloudError(
        CAPACITY,
        f"no capacity for {machine.name}",
        "tried in this order: " + "; ".join(tried),
        "Add zones or types to the group, or repeat later",
    )


def _create_there(
    provider: Provider, machine: Machine, placement: Placement, generation: int, pace: Pace
) -> Found | None:
    for step in range(generation, generation + MAX_GENERATIONS):
        same = token(machine, placement, step)
        try:
            return call(
                pace,
                lambda s=same, g=step: provider.create(machine, placement, s, g),  # type: ignore[misc]
            )
        except CloudError as error:
            if error.kind == STALE:
                continue
            if error.kind == QUOTA:
                raise provider.quota(error, machine, placement) from error
            if error.kind == EXISTS or error.transient:
                found = _look_for(provider, machine, pace)
                if found is not None:
                    return found
            raise
    raise FleetError(
        f"cannot create {machine.name}",
        f"{MAX_GENERATIONS} earlier requests of this name are still remembered by the cloud",
        "Give the fleet another name, or repeat in an hour",
    )


def _look_for(provider: Provider, machine: Machine, pace: Pace) -> Found | None:
    """A machine whose request may have taken effect; None after some looks."""
    for look in range(LOOKS):
        found = call(pace, lambda: provider.list_machines(machine.fleet))
        mine = [item for item in found if item.machine == machine.name and item.live]
        if mine:
            return min(mine, key=age_order)
        if look < LOOKS - 1:
            pace.sleep(pace.poll)
    return None


def _await_running(
    provider: Provider, fleet: str, machines: Sequence[Machine], pace: Pace
) -> list[Found]:
    """Until all wanted ones run. One that ends meanwhile is left to the next round."""
    until = pace.until()
    wanted = {machine.name for machine in machines}
    while True:
        found = call(pace, lambda: provider.list_machines(fleet))
        mine = [item for item in found if item.machine in wanted]
        live = [item for item in mine if item.live]
        waiting = {item.name for item in live if item.state == PENDING}
        waiting |= wanted - {item.machine for item in mine}
        if not waiting:
            return live
        if pace.clock() >= until:
            raise FleetError(
                f"{len(waiting)} machines of fleet {fleet!r} do not start",
                f"after {pace.patience:.0f} s still not running: {', '.join(sorted(waiting))}",
                "Look at the cloud's console, then repeat",
            )
        pace.sleep(pace.poll)


def _protect_all(provider: Provider, live: Sequence[Found], pace: Pace) -> None:
    """Every machine, also an adopted one, has the cloud's own end."""

    def protect(item: Found) -> None:
        until = item.expires_at
        if until is not None:
            moment: datetime = until
            call(pace, lambda: provider.protect(item, moment))

    open_ones = [item for item in live if item.protected_until is None]
    for result in parallel(pace, protect, open_ones):
        if isinstance(result, Exception):
            raise result


def _undone(
    provider: Provider, fleet: str, created: set[str], pace: Pace, error: FleetError
) -> FleetError:
    """The error, after what this call made (answered or not) was removed; it says what was."""
    if not created:
        return error
    try:
        found = call(pace, lambda: provider.list_machines(fleet))
        mine = [item for item in found if item.machine in created and item.state != "gone"]
        end(provider, fleet, mine, pace)
    except FleetError as failed:
        said = (
            f" What was made before the failure may still be there ({failed}): run"
            " playbooks/teardown.yml; the TTL ends it otherwise."
        )
    else:
        names = ", ".join(sorted(item.name for item in mine))
        said = f" Removed again: {names}." if mine else " Nothing was left behind."
    worded = FleetError(error.what, error.why, (error.todo + "." if error.todo else "") + said)
    if isinstance(error, CloudError):
        return CloudError(error.kind, worded.what, worded.why, worded.todo, error.action)
    return worded

"""Turns a plan into machines: creates, adopts, removes what is half made. Knows no cloud."""

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

# How many earlier requests of one machine are skipped; it may have been made and ended often.
MAX_GENERATIONS = 64
# How many rounds correct duplicate and vanished machines before giving up.
ROUNDS = 4
# How often a machine is looked for after its request got no clear answer.
LOOKS = 6


@dataclass
class Acquired:
    machines: list[Found]
    created: list[str]
    removed: list[str]


def survey(provider: Provider, fleet: str, machines: Sequence[Machine], pace: Pace) -> Plan:
    """Returns the plan; changes nothing."""
    return make_plan(fleet, machines, call(pace, lambda: provider.list_machines(fleet)))


def acquire(provider: Provider, fleet: str, machines: Sequence[Machine], pace: Pace) -> Acquired:
    """Makes all wanted machines run, each with its end set in the cloud.

    Raises FleetError if that fails; what this call made is then removed.
    """
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
            "Check whether another controller works on the same fleet, then repeat",
        ),
    )  # fmt: skip


def _create_all(provider: Provider, plan: Plan, pace: Pace) -> None:
    """Raises the error of a creation that failed. After a failure no further request begins."""
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
    """Tries all zones of a type, then the next type. Only a lack of capacity leads to the next."""
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
        f"the cloud still remembers {MAX_GENERATIONS} earlier requests of this name",
        "Give the fleet another name, or repeat in an hour",
    )


def _look_for(provider: Provider, machine: Machine, pace: Pace) -> Found | None:
    """The machine, if its request took effect after all; None if LOOKS looks do not show it."""
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
    """Waits until all wanted machines run. The next round handles one that ends meanwhile."""
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
    """Lets the cloud itself end every machine at its TTL, adopted machines included."""

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
    """Removes what this call made, answered or not; returns the error, which names it."""
    if not created:
        return error
    try:
        found = call(pace, lambda: provider.list_machines(fleet))
        mine = [item for item in found if item.machine in created and item.state != "gone"]
        end(provider, fleet, mine, pace)
    except FleetError as failed:
        said = (
            f" Machines made before the failure may still be there ({failed}) Run"
            " playbooks/teardown.yml; otherwise their TTL ends them."
        )
    else:
        names = ", ".join(sorted(item.name for item in mine))
        said = f" Removed again: {names}." if mine else " Nothing was left behind."
    worded = FleetError(error.what, error.why, (error.todo + "." if error.todo else "") + said)
    if isinstance(error, CloudError):
        return CloudError(error.kind, worded.what, worded.why, worded.todo, error.action)
    return worded

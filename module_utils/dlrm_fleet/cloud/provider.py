"""What a cloud must be able to do, and what is known of it without asking it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ..base.errors import FleetError
from .errors import CloudError
from .model import Found, Leftover, Machine, Placement


class Provider(Protocol):
    """Translation only: one request a call, no retries, no waiting; CloudError of one kind.

    A third cloud implements exactly these methods.
    """

    name: str

    def list_machines(self, fleet: str | None) -> list[Found]:
        """Machines with our labels in all configured regions, ended ones too while shown."""

    def create(
        self, machine: Machine, placement: Placement, token: str, generation: int
    ) -> Found | None:
        """Ask once; returns when the cloud has accepted it. None: made, not shown yet.

        Kinds with a meaning here: CAPACITY, STALE (an earlier request of this token made
        something that is over), EXISTS (an earlier one is there; look for it).
        """

    def protect(self, found: Found, until: datetime) -> None:
        """Let the cloud end the machine then; nothing where that was fixed at creation."""

    def delete(self, machines: Sequence[Found]) -> None:
        """Ask to end them; returns at once; one that is gone already is no error."""

    def leftovers(self, fleet: str | None) -> list[Leftover]:
        """Disks, addresses, schedules with our labels or names."""

    def remove(self, leftover: Leftover) -> None:
        """Remove one of them; one that is gone already is no error."""

    def host_keys(self, found: Found) -> list[str]:
        """Public host keys ("ssh-ed25519 AAAA...") by the cloud's own channel; [] = not yet."""

    def quota(self, error: CloudError, machine: Machine, placement: Placement) -> CloudError:
        """The same error with which quota, asked, left and how to raise it."""


@dataclass(frozen=True)
class Cloud:
    """One cloud as registry.py lists it.

    `open`: modules' options -> provider, FleetError where one is missing; `check_creation`: the
    same for what only the making of machines needs; `vcpus`, `gib_per_vcpu`: of a machine type's
    name, 0 = unknown; `ended_by`: who ends a machine at its TTL, the cloud and the host;
    `still_bills`: what costs after that; `prices`: the cloud's own list, as
    dlrm_instances_prices has it.
    """

    name: str
    open: Callable[[dict[str, Any]], Provider]
    check_creation: Callable[[dict[str, Any]], None]
    vcpus: Callable[[str], int]
    gib_per_vcpu: Callable[[str], float]
    ended_by: tuple[str, str]
    still_bills: str
    prices: dict[str, Any]

    def memory_gib(self, type_name: str) -> float:
        """0: unknown."""
        return self.vcpus(type_name) * self.gib_per_vcpu(type_name)

    def with_prices(self, given: dict[str, Any]) -> dict[str, Any]:
        """The table a user gave (dlrm_instances_prices), or where it has no prices of this cloud
        the cloud's own."""
        return given if self.name in given else {**given, **self.prices}


def need(name: str, value: Any, what: str, variable: str) -> None:
    """Refuse an option that is missing."""
    if not value:
        raise FleetError(f"{name} is missing", f"it names {what}", f"Set {variable}")

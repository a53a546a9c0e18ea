"""What a cloud must be able to do, and what is known about it without a call."""

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
        """Machines with our labels in all configured regions, and ended ones the cloud shows."""

    def create(
        self, machine: Machine, placement: Placement, token: str, generation: int
    ) -> Found | None:
        """Ask once; return when the cloud has accepted. None: made, but not shown yet.

        These kinds of CloudError decide what the caller does: CAPACITY; STALE: an earlier request
        with this token failed, or its machine has ended; EXISTS: its machine may still be there.
        """

    def protect(self, found: Found, until: datetime) -> None:
        """Let the cloud itself end the machine at that time, even if the controller is dead."""

    def delete(self, machines: Sequence[Found]) -> None:
        """Ask to end them and return at once. A machine that is already gone is no error."""

    def leftovers(self, fleet: str | None) -> list[Leftover]:
        """Disks, addresses and schedules with our labels or names."""

    def remove(self, leftover: Leftover) -> None:
        """Remove one of them. One that is already gone is no error."""

    def host_keys(self, found: Found) -> list[str]:
        """Public host keys ("ssh-ed25519 AAAA...") from the cloud's own channel; [] = not yet."""

    def quota(self, error: CloudError, machine: Machine, placement: Placement) -> CloudError:
        """The same error that also names the quota, what is asked and left, and how to raise it."""


@dataclass(frozen=True)
class Access:
    """How a cloud is reached; each takes what it needs. `regions`: None = the cloud's default."""

    regions: Sequence[str] | None
    project: str
    scheduler_role: str
    endpoint_url: str


@dataclass(frozen=True)
class Cloud:
    """One cloud as registry.py lists it.

    `open`: signs in, FleetError where something is missing; `check_creation`: the
    same for what only the making of machines needs; `vcpus`, `gib_per_vcpu`: of a machine type's
    name, 0 = unknown; `ended_by`: who ends a machine at its TTL, the cloud and the host;
    `still_bills`: what costs after that; `prices`: the cloud's own list, as
    dlrm_instances_prices has it.
    """

    name: str
    open: Callable[[Access], Provider]
    check_creation: Callable[[Access], None]
    vcpus: Callable[[str], int]
    gib_per_vcpu: Callable[[str], float]
    ended_by: tuple[str, str]
    still_bills: str
    prices: dict[str, Any]

    def memory_gib(self, type_name: str) -> float:
        """0: unknown."""
        return self.vcpus(type_name) * self.gib_per_vcpu(type_name)

    def with_prices(self, given: dict[str, Any]) -> dict[str, Any]:
        """The user's table (dlrm_instances_prices); if it lacks this cloud, with its own prices."""
        return given if self.name in given else {**given, **self.prices}


def need(name: str, value: Any, what: str, variable: str) -> None:
    """Refuse an option that is missing."""
    if not value:
        raise FleetError(f"{name} is missing", f"it names {what}", f"Set {variable}")

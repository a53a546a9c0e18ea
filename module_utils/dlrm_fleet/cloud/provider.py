"""What a cloud must be able to do: translation only, one request a call, no retries, no waiting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from .errors import CloudError
from .model import Found, Leftover, Machine, Placement


class Provider(Protocol):
    """Each method raises CloudError of one kind. A third cloud implements exactly these."""

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
        """The same error with which quota, asked, left and how to raise it."""

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

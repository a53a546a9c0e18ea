"""Desired and found machines, their labels, tokens. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

PROJECT = "dlrm-fleet"
RESERVED_LABELS = (
    *("project", "role", "fleet", "machine", "generation", "ttl-seconds", "name"),
    *("keep", "ssh-user"),
)
ROLES = ("benchmark", "storage", "benchmark-storage")
NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
LABEL_KEY = re.compile(r"^[a-z][-_a-z0-9]{0,62}$")
LABEL_VALUE = re.compile(r"^[-_a-z0-9]{0,63}$")

# The states of a found machine.
PENDING = "pending"
RUNNING = "running"
STOPPED = "stopped"
ENDING = "ending"
GONE = "gone"
LIVE = (PENDING, RUNNING)


@dataclass(frozen=True)
class Placement:
    """One attempt: this type in this zone."""

    type: str
    zone: str


@dataclass(frozen=True)
class Disk:
    """size in GiB, throughput in MiB/s; None: the cloud's default."""

    size_gib: int
    iops: int | None = None
    throughput: int | None = None
    type: str = ""


@dataclass(frozen=True)
class Machine:
    """One wanted machine. `placements`: all zones of the first type, then of the next type."""

    name: str
    fleet: str
    group: str
    role: str
    placements: tuple[Placement, ...]
    image: dict[str, str]
    disk: Disk
    ttl_seconds: int
    spot: bool = False
    # If true, the end of a benchmark does not release the machine.
    keep: bool = False
    network: dict[str, Any] = field(default_factory=dict)
    ssh_user: str = ""
    ssh_public_key: str = ""
    extra_labels: dict[str, str] = field(default_factory=dict)

    def labels(self, generation: int) -> dict[str, str]:
        """Holds no time, because a repeated request must be the same request."""
        return {
            **self.extra_labels,
            **({"keep": "true"} if self.keep else {}),
            **({"ssh-user": self.ssh_user} if self.ssh_user else {}),
            "project": PROJECT,
            "role": self.role,
            "fleet": self.fleet,
            "machine": self.name,
            "generation": str(generation),
            "ttl-seconds": str(self.ttl_seconds),
        }


@dataclass(frozen=True)
class Found:
    """One machine as the cloud shows it. `protected_until`: when the cloud itself ends it."""

    id: str
    name: str
    zone: str
    region: str
    type: str
    state: str
    labels: dict[str, str]
    created_at: datetime | None = None
    public_address: str = ""
    private_address: str = ""
    spot: bool = False
    protected_until: datetime | None = None

    @property
    def machine(self) -> str:
        return self.labels.get("machine", "")

    @property
    def generation(self) -> int:
        text = self.labels.get("generation", "")
        return int(text) if text.isdigit() else 0

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def expires_at(self) -> datetime | None:
        """Creation time plus the label ttl-seconds; None if either is missing."""
        seconds = self.labels.get("ttl-seconds", "")
        if self.created_at is None or not seconds.isdigit():
            return None
        return self.created_at + timedelta(seconds=int(seconds))


@dataclass(frozen=True)
class Leftover:
    """A disk, address or schedule: no machine, but it bills or acts."""

    kind: str
    id: str
    place: str
    labels: dict[str, str]


def ours(labels: dict[str, str], fleet: str | None = None) -> bool:
    """Whether all our labels are there, with this fleet's name; a similar name is not enough."""
    if labels.get("project") != PROJECT or not labels.get("machine") or not labels.get("fleet"):
        return False
    return fleet is None or labels["fleet"] == fleet


def token(machine: Machine, placement: Placement, generation: int) -> str:
    """64 hex digits; the same for a repeated request, whichever controller sends it."""
    parts = (machine.fleet, machine.name, str(generation), placement.type, placement.zone)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()

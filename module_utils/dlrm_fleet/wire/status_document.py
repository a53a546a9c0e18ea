"""status.json as a container leaves it (docs/contracts/status.schema.json), as a type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..base.times import parse_time
from .fields import Fields

STATES = ("running", "finished", "failed")
LONGEST_MESSAGE = 64 * 1024


@dataclass(frozen=True)
class Status:
    """`percent` of `phase`, 0 to 100; `rate` in `unit`; None: not known."""

    state: str
    phase: str
    percent: float | None
    rate: float | None
    unit: str
    eta_seconds: float | None
    message: str
    updated_at: datetime


def read_status(value: Any, what: str) -> Status:
    """Malformed where a field is missing, wrong or unknown."""
    fields = Fields(value, what)
    fields.version()
    fields.only(
        *("schema_version", "stage", "key", "attempt", "state", "phase", "percent", "rate", "unit"),
        *("eta_seconds", "message", "started_at", "updated_at", "deadline"),
    )
    fields.line("stage")
    fields.sha256("key")
    fields.integer("attempt", 1, 10**6)
    fields.time("started_at")
    fields.time("deadline")
    return Status(
        fields.choice("state", STATES),
        fields.line("phase"),
        _number(fields, "percent", 0, 100),
        _number(fields, "rate"),
        "" if fields.is_null("unit") else fields.line("unit", 64),
        _number(fields, "eta_seconds"),
        fields.text("message", LONGEST_MESSAGE),
        parse_time(fields.time("updated_at")),
    )


def _number(fields: Fields, name: str, low: float = -1e18, high: float = 1e18) -> float | None:
    if fields.is_null(name):
        return None
    value: Any = fields.values.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # False for NaN and infinities, too.
    if not is_number or not low <= value <= high:
        raise fields.bad(name, f"null or a number from {low:g} to {high:g}")
    return float(value)

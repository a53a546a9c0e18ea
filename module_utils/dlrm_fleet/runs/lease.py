"""How long a run belongs to its holder without a sign of life, by the host's own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..base.times import parse_time

LEASE = timedelta(seconds=90)
# A poll within this of the last renewal writes nothing.
RENEW_AFTER = timedelta(seconds=10)
# A clock that is set right by less than this takes the lease from nobody.
SLACK = timedelta(seconds=30)


def lease_lives(lock: dict[str, Any], now: datetime) -> bool:
    """One that ends later than a lease lasts was written before the clock was set back."""
    return now <= parse_time(lock["lease_until"]) <= now + LEASE + SLACK


def lease_is_fresh(lock: dict[str, Any], now: datetime) -> bool:
    """No need to write it again."""
    return LEASE - RENEW_AFTER < parse_time(lock["lease_until"]) - now <= LEASE

"""How long a run belongs to its holder without a renewal, by the host's own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ..base.times import parse_time

LEASE = timedelta(seconds=90)
# A poll sooner than this after the last renewal writes nothing.
RENEW_AFTER = timedelta(seconds=10)
# Setting the clock right by less than this ends no lease.
SLACK = timedelta(seconds=30)


def lease_lives(lock: dict[str, Any], now: datetime) -> bool:
    """Whether the lease still holds.

    One that ends too far in the future was written before the clock was set back: it does not.
    """
    return now <= parse_time(lock["lease_until"]) <= now + LEASE + SLACK


def lease_is_fresh(lock: dict[str, Any], now: datetime) -> bool:
    """Whether the lease is so new that it need not be written again."""
    return LEASE - RENEW_AFTER < parse_time(lock["lease_until"]) - now <= LEASE

"""Times as all documents have them: UTC, to the second."""

from __future__ import annotations

from datetime import datetime, timezone

from .errors import FleetError

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# The first call loads a module. Later this process may have rights that do not let it read that.
datetime.strptime("1970-01-01T00:00:00Z", TIME_FORMAT)


def utc_now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def format_time(moment: datetime) -> str:
    """UTC, RFC 3339, seconds: 2026-01-31T23:59:59Z."""
    return moment.astimezone(timezone.utc).strftime(TIME_FORMAT)


def parse_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        raise FleetError(
            f"cannot read the time {text!r}", "it must be YYYY-mm-ddTHH:MM:SSZ (UTC)"
        ) from None

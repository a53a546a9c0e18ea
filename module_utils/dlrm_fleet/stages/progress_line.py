"""The line that says how far a running stage is. Pure."""

from __future__ import annotations

from datetime import datetime

from ..base.wording import duration, number
from ..wire.status_document import Status

# A status older than this is shown with its age: the container writes one at least every 5 s.
STALE_SECONDS = 20


def progress_line(
    stage: str, status: Status | None, started: datetime, deadline: datetime, now: datetime
) -> str:
    """calibrate 42 % layer 2, 1.2 M rows/s, 0:35 elapsed, 0:48 left, deadline in 0:52:10"""
    head = f"{stage} starting"
    parts: list[str] = []
    left: str | None = None
    if status is not None:
        percent = "" if status.percent is None else f"{int(status.percent)} % "
        head = f"{stage} {percent}{status.phase}"
        if status.rate is not None:
            parts.append(number(status.rate, status.unit))
        if status.eta_seconds is not None:
            left = f"{duration(status.eta_seconds)} left"
    parts.append(f"{duration((now - started).total_seconds())} elapsed")
    if left:
        parts.append(left)
    parts.append(f"deadline in {duration((deadline - now).total_seconds(), hours=True)}")
    if status is not None:
        age = (now - status.updated_at).total_seconds()
        if age > STALE_SECONDS:
            parts.append(f"last status {duration(age)} ago")
    return ", ".join([head, *parts])

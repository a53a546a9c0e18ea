"""The time a stage still has until its run's deadline, by the host's clock."""

from __future__ import annotations

from ..base.errors import FleetError
from ..base.times import parse_time, utc_now
from ..base.wording import duration
from .asked import Asked, Start


def seconds_left(asked: Asked, deadline: str) -> int:
    """At most what a run may last, since the clock may have been set back; below 0 when late."""
    seconds = int((parse_time(deadline) - utc_now()).total_seconds())
    return min(seconds, int(asked.request["deadline_seconds"]))


def seconds_to_run(asked: Asked, start: Start) -> int:
    """At least 1; FleetError when the deadline has passed."""
    seconds = seconds_left(asked, start.deadline)
    if seconds <= 0:
        raise FleetError(
            f"cannot start stage {start.stage!r}",
            f"the run's deadline {start.deadline} passed {duration(-seconds)} ago",
            "Run again with a longer deadline, for example -e deadline=2h",
        )
    return seconds

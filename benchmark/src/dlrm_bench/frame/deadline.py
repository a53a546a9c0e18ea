"""The request's deadline: it stops what runs beyond it, and refuses what cannot end before it."""

from __future__ import annotations

import time
from collections.abc import Callable

from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.request import parse_time


def deadline_check(ctx: StageContext) -> Callable[[], None]:
    """Raises once the deadline is past: max_duration does not end an Offline run."""
    deadline = _timestamp(ctx)

    def check() -> None:
        if time.time() > deadline:
            raise StageError(
                f"stage '{ctx.request.stage}' was stopped",
                f"its deadline {ctx.request.deadline} came before the run was done",
                "Run again with a longer deadline, for example -e deadline=2h",
            )

    return check


def check_time_left(ctx: StageContext, what: str, seconds: float, why: str, remedy: str) -> None:
    """Raise StageError where `what` lasts longer than the deadline is away; `why`: so long."""
    if time.time() + seconds > _timestamp(ctx):
        why = f"{why}, the deadline is {ctx.request.deadline}"
        raise StageError(f"{what} cannot end in time", why, remedy)


def _timestamp(ctx: StageContext) -> float:
    return parse_time(ctx.request.deadline).timestamp()

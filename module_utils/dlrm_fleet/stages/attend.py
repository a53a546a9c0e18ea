"""dlrm_stage: start a stage and, when it is short, see it done in the same call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..container.engine import Engine
from .asked import Asked, Start
from .start import Result, start_stage
from .watch import Seen, running_token, watch


@dataclass
class Had:
    """What came of one call."""

    result: Result
    # What to tell the user, in order.
    lines: list[str]
    # As it ended badly; None: it did not.
    failed: Seen | None = None
    # For the next look at a stage that still runs.
    token: str = ""
    # Of the start, when one call saw start and end.
    diff: dict[str, Any] = field(default_factory=dict)


def have_stage(asked: Asked, start: Start, engine: Engine, wait_seconds: float) -> Had:
    """Start or find the stage; a running one is watched for up to `wait_seconds`.

    Each call costs host and controller the start of a Python: a stage of seconds needs one.
    """
    result = start_stage(asked, start, engine)
    had = Had(result, [result.line] if result.line else [], diff=result.diff or {})
    if result.state != "running":
        return had
    had.token = running_token(start.stage, result.attempt)
    if start.check or wait_seconds <= 0:
        return had
    [seen], had.token = watch(asked, engine, start.stage, wait_seconds, had.token, check=False)
    if seen.state == "done":
        had.result = _linked(asked, start, engine, result.changed)
        had.lines.append(had.result.line)
    elif seen.state in ("running", "unknown"):
        had.lines.append(seen.line)
    else:
        had.failed = seen
    return had


def _linked(asked: Asked, start: Start, engine: Engine, changed: bool) -> Result:
    """Once more, for the links. What was just made is neither read a second time nor remade."""
    asked = replace(asked, request={**asked.request, "verify": False})
    result = start_stage(asked, replace(start, force=False), engine)
    return replace(result, changed=changed or result.changed)

"""Filters for tasks/frame/part.yml: how long a task may take, and why the part failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MINUTE = 60
HUNG = (
    "{host} neither answered nor closed the connection for {seconds} s, in the part '{phase}'."
    " A container that runs there ends by itself at the run's deadline, and what it made stays."
    " Check the network and the machine. If ssh reaches the machine, a connection that Ansible"
    " keeps open hangs: remove ~/.ansible/cp. Then give the same command again."
)


def dlrm_seconds(ends: int, deadline_seconds: int, now: float | None = None) -> int:
    """The longest time one task may take, in seconds.

    That is the rest of the run plus a minute. The rest counts as at least a quarter of the run, to
    store what was measured, and at most the whole run, because the clock may have been set back.

    `ends`: the run's end, seconds since 1970; 0 before it is opened.
    `deadline_seconds`: the length of the whole run.
    """
    left = int(ends) - int(time.time() if now is None else now) if ends else deadline_seconds
    return max(min(left, deadline_seconds), deadline_seconds // 4) + MINUTE


def dlrm_reason(result: dict[str, Any]) -> str:
    """The message of a failed task, with its stderr."""
    failed = _failed(result)
    said = [str(failed.get("msg", "no message")), str(failed.get("stderr") or "").strip()]
    return ": ".join(filter(None, said))


def dlrm_failure(result: dict[str, Any], action: str, phase: str, host: str) -> dict[str, str]:
    """{phase, message} of the failure that ended a part, as the verdict shows it.

    `result`, `action`: of the failed task; `phase`: the part's name in a failure.
    """
    hung = _failed(result).get("timedout")
    if hung is not None:
        said = HUNG.format(host=host, seconds=hung["period"], phase=phase)
        return {"phase": "unreachable", "message": said}
    lost = action == "dlrm_reachable"
    return {"phase": "unreachable" if lost else phase, "message": dlrm_reason(result)}


def _failed(result: dict[str, Any]) -> dict[str, Any]:
    """The failed item of a loop, else `result`: a loop's own message names no reason."""
    # Package managers return lines of text as results.
    items = [item for item in result.get("results") or [] if isinstance(item, dict)]
    return next((item for item in items if item.get("failed")), result)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {one.__name__: one for one in (dlrm_seconds, dlrm_reason, dlrm_failure)}

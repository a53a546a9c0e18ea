"""What frames a part on a host: how long a task may take, and what ended the part early."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MINUTE = 60
HUNG = (
    "{host} neither answered nor closed the connection for {seconds} s, in the part '{phase}'."
    " A container that runs there ends by itself at the run's deadline, and what it made stays."
    " Look at the network and the machine. If the machine answers otherwise, a connection that"
    " Ansible keeps open hangs: remove ~/.ansible/cp. Then give the same command again."
)


def dlrm_seconds(ends: int, deadline_seconds: int, now: float | None = None) -> int:
    """How long one task may take: what is left of the run, at least a quarter of it, and a minute.

    `ends`: when the run ends, seconds since 1970; 0 before it is opened. The quarter is for
    bringing home what was measured. The clock may have been set: never more than the whole run.
    """
    left = int(ends) - int(time.time() if now is None else now) if ends else deadline_seconds
    return max(min(left, deadline_seconds), deadline_seconds // 4) + MINUTE


def dlrm_reason(result: dict[str, Any]) -> str:
    """What a failed task said, with its stderr."""
    failed = _failed(result)
    said = [str(failed.get("msg", "no message")), str(failed.get("stderr") or "").strip()]
    return ": ".join(filter(None, said))


def dlrm_failure(result: dict[str, Any], action: str, phase: str, host: str) -> dict[str, str]:
    """{phase, message} of what ended a part, as the verdict shows it.

    `result`, `action`: of the failed task; `phase`: what the part is called in a failure.
    """
    hung = _failed(result).get("timedout")
    if hung is not None:
        said = HUNG.format(host=host, seconds=hung["period"], phase=phase)
        return {"phase": "unreachable", "message": said}
    lost = action == "dlrm_reachable"
    return {"phase": "unreachable" if lost else phase, "message": dlrm_reason(result)}


def _failed(result: dict[str, Any]) -> dict[str, Any]:
    """Of a loop the item that failed: the loop's own message only says that one did."""
    # Package managers call lines of text results, too.
    items = [item for item in result.get("results") or [] if isinstance(item, dict)]
    return next((item for item in items if item.get("failed")), result)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {one.__name__: one for one in (dlrm_seconds, dlrm_reason, dlrm_failure)}

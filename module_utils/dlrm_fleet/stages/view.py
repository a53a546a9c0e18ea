"""What is seen of a stage: one shape from the host to the printed line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base.times import parse_time
from ..base.wording import duration
from .key import short


@dataclass
class StageView:
    """One stage as a call of dlrm_stage or dlrm_stage_info sees it; `state` as in their RETURN."""

    stage: str
    state: str
    reason: str = ""
    key: str | None = None
    attempt: int | None = None
    document: dict[str, Any] | None = None
    # What to tell the user, in order.
    lines: list[str] = field(default_factory=list)
    # What was printed: the next look compares with it.
    token: str = ""
    # Of a stage that failed.
    cause: str = ""
    message: str = ""
    exit_code: int | None = None
    log_tail: list[str] = field(default_factory=list)
    # What the call changed, or in check mode would change.
    changed: bool = False
    diff: dict[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    seconds_left: int = 0

    def __post_init__(self) -> None:
        why = f": {self.reason}" if self.reason else ""
        self.lines = self.lines or [f"{self.stage} {self.state}{why}"]
        self.token = self.token or f"{self.stage}={self.state}/{self.attempt}"

    @property
    def line(self) -> str:
        """The newest line."""
        return self.lines[-1]


def done_view(stage: str, document: dict[str, Any], run_id: str | None) -> StageView:
    """A finished stage, as run `run_id` sees it. `document`: its stage.json."""
    key = short(document["key"])
    reason = f"skipped because {key} made by run {document['run_id']} at {document['finished_at']}"
    line = f"{stage} {reason}"
    if document["run_id"] == run_id:
        took = parse_time(document["finished_at"]) - parse_time(document["started_at"])
        reason = f"{key} made by this run at {document['finished_at']}"
        line = f"{stage} done in {duration(took.total_seconds())}"
    return StageView(
        stage, "done", reason, document["key"], document["attempt"], document, lines=[line]
    )

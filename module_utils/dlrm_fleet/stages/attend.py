"""dlrm_stage: start a stage, watch it for a while, and once it is done link and prune."""

from __future__ import annotations

from dataclasses import replace

from ..base.owner import Owner
from ..container.engine import Engine
from .asked import Asked, HostPlan, Start
from .deadline import seconds_left
from .links import link_stage
from .prune import prune_inputs
from .start import start_stage
from .view import StageView, done_view
from .watch import watch


def attend_stage(asked: Asked, start: Start, engine: Engine, wait_seconds: float) -> StageView:
    """Start or find the stage; a running one is watched for up to `wait_seconds`.

    Each call starts a Python on host and controller, so a stage of seconds needs one call only.
    """
    plan = asked.plan()
    view = start_stage(plan, start, engine)
    if view.state == "running" and not start.check and wait_seconds > 0:
        view = _watched(plan, engine, view, wait_seconds)
    if view.state == "done":
        view = _finished(plan, start, engine, view)
    return replace(view, seconds_left=seconds_left(asked, start.deadline))


def _watched(plan: HostPlan, engine: Engine, started: StageView, seconds: float) -> StageView:
    """The view after watching, with the lines and changes of its start."""
    seen = watch(plan, engine, started.stage, seconds, started.token, check=False)[0]
    lines = list(started.lines)
    if seen.state == "done" and seen.document is not None:
        lines.append(done_view(seen.stage, seen.document, plan.asked.run_id).line)
    elif seen.state in ("running", "unknown"):
        lines.append(seen.line)
    return replace(seen, lines=lines, changed=started.changed, diff=started.diff)


def _finished(plan: HostPlan, start: Start, engine: Engine, view: StageView) -> StageView:
    """Links a stage that is done; then prunes those of its inputs that nothing reads any more."""
    owner = Owner(start.user)
    links, warnings = link_stage(plan, view.stage, view.key or "", owner, start.check)
    pruned = prune_inputs(plan, view.stage, engine, owner, start.check)
    changes = [*links, *pruned.removed]
    diff = {"before": "", "after": "\n".join([*changes, ""])} if changes else None
    return replace(
        view,
        lines=[*view.lines[:-1], "; ".join([view.line, *pruned.removed])],
        changed=view.changed or bool(changes),
        diff=view.diff or diff,
        warnings=[*view.warnings, *warnings, *pruned.warnings],
    )

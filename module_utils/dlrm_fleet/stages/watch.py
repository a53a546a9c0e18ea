"""dlrm_stage_info: how far the stages of one host are; long-polls and reaps."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from ..base.errors import DiskError
from ..base.times import utc_now
from ..container.engine import Container, Engine, EngineError
from ..wire.exit_document import Ended
from . import catalogue as catalogue_rules
from .asked import HostPlan
from .folder import StageFolder
from .plan import PlannedStage
from .poll import LOOK_AT_MEASURED_SECONDS, LOOK_SECONDS, PROGRESS_SECONDS
from .progress_line import progress_line
from .reap import NotSaved, reap, record_engine_gone
from .view import StageView


def watch(
    plan: HostPlan, engine: Engine, stage: str | None, wait_seconds: float, token: str, check: bool
) -> list[StageView]:
    """All stages, or one; waits up to `wait_seconds` while their common token is still `token`."""
    started = time.monotonic()
    while True:
        if not check:
            # On a full disk nobody else can take the run either: keep watching the stage.
            with suppress(DiskError):
                plan.asked.keep_lease()
        seen = look(plan, engine, stage, check)
        now = common_token(seen)
        waited = time.monotonic() - started
        if waited >= wait_seconds or is_news(plan.catalogue, seen, token, now, waited):
            return seen
        pause = LOOK_AT_MEASURED_SECONDS if _measures(plan.catalogue, seen) else LOOK_SECONDS
        _pause(engine, seen, min(pause, wait_seconds - waited))


def _pause(engine: Engine, seen: list[StageView], seconds: float) -> None:
    """Wait until the next look, or until the running stage has ended."""
    running = [entry for entry in seen if entry.state == "running" and entry.key is not None]
    # If the engine does not answer now, the next look says so.
    with suppress(EngineError):
        for entry in running:
            alive = [c for c in engine.containers(entry.stage, str(entry.key)) if c.alive]
            if not alive:
                return
            engine.await_end(alive[0], seconds)
            return
    time.sleep(seconds)


def is_news(
    catalogue: dict[str, Any], seen: list[StageView], old: str, new: str, waited: float
) -> bool:
    """Whether to answer now, `waited` seconds into the call."""
    if old == new:
        return False
    if _states(old) != _states(new):
        return True
    # Each answer starts a Python on the host, which would disturb a stage that measures it.
    return waited >= PROGRESS_SECONDS and not _measures(catalogue, seen)


def _measures(catalogue: dict[str, Any], seen: list[StageView]) -> bool:
    running = [entry.stage for entry in seen if entry.state == "running"]
    return any(
        catalogue_rules.is_measured(catalogue_rules.stage(catalogue, name)) for name in running
    )


def common_token(seen: list[StageView]) -> str:
    """The tokens of all of them, for the next call."""
    return "|".join(view.token for view in seen)


def _states(token: str) -> list[str]:
    return [part.split(" ")[0] for part in token.split("|")]


def look(plan: HostPlan, engine: Engine, stage: str | None, check: bool) -> list[StageView]:
    """Every stage of the catalogue in order, or the one named."""
    names = [entry["name"] for entry in catalogue_rules.stages(plan.catalogue)]
    if stage is not None:
        names = [catalogue_rules.stage(plan.catalogue, stage)["name"]]
    return [
        _look_at(plan, engine, plan.stage(name), check)
        if name in plan.entries
        else StageView(name, "skipped", "does not apply to this request")
        for name in names
    ]


def _look_at(plan: HostPlan, engine: Engine, planned: PlannedStage, check: bool) -> StageView:
    if planned.key is None:
        return StageView(planned.name, "absent", f"key {planned.waits_for}")
    folder = plan.folder(planned.name, planned.key)
    try:
        container = _living(folder, engine)
        if container is not None and (check or not engine.end_overdue([container])):
            return _running(folder, container)
        if not check and folder.path.is_dir():
            return _settled(folder, engine)
    except EngineError as error:
        # The engine may be restarting: watching goes on until the deadline.
        reason = f"the state of its container is not known: {error}"
        if not folder.manifest.exists():
            return StageView(planned.name, "unknown", reason, planned.key)
    except NotSaved as error:
        if not folder.manifest.exists():
            return _failed(folder, max(folder.attempts()), error.ended, f" {error}")
    return _at_rest(folder)


def _living(folder: StageFolder, engine: Engine) -> Container | None:
    alive = [c for c in engine.containers(folder.stage, folder.key) if c.alive]
    return alive[0] if alive else None


def _settled(folder: StageFolder, engine: Engine) -> StageView:
    """Nothing runs: save what ended, then read the result. Waits for a start in progress."""
    with folder.locked():
        for container in engine.containers(folder.stage, folder.key):
            if container.alive:
                return _running(folder, container)
            reap(folder, engine, container)
        last = max(folder.attempts(), default=0)
        if last and not (folder.attempt_path(last) / "exit.json").exists():
            record_engine_gone(folder, last)
        return _at_rest(folder)


def _at_rest(folder: StageFolder) -> StageView:
    document, damage = folder.examine()
    if document is not None:
        reason = f"made by run {document['run_id']} at {document['finished_at']}"
        return StageView(folder.stage, "done", reason, folder.key, document["attempt"], document)
    attempts = folder.attempts()
    ended = folder.ended(attempts[-1]) if attempts else None
    if ended is None or not ended.cause:
        kept = "" if folder.elsewhere() is None else "only its manifest is here"
        return StageView(folder.stage, "absent", damage or kept or "not made yet", folder.key)
    log = f" Its log: {folder.log_path(attempts[-1])}."
    return _failed(folder, attempts[-1], ended, log)


def _failed(folder: StageFolder, attempt: int, ended: Ended, more: str) -> StageView:
    return StageView(
        folder.stage,
        "failed",
        f"attempt {attempt} ended: {ended.cause}",
        folder.key,
        attempt,
        cause=ended.cause,
        message=f"{ended.message}{more}",
        exit_code=ended.exit_code,
        log_tail=list(ended.log_tail),
    )


def _running(folder: StageFolder, container: Container) -> StageView:
    attempt = container.attempt
    view = StageView(folder.stage, "running", "", folder.key, attempt)
    status, times = folder.status(attempt), folder.times(attempt)
    view.lines = [f"{folder.stage} starting"]
    if times is not None:
        view.lines = [progress_line(folder.stage, status, *times, utc_now())]
    if status is not None:
        percent = "" if status.percent is None else int(status.percent)
        view.token += f" {percent}% {status.phase.replace('|', '/')}"
    return view

"""dlrm_stage_info: how far the stages of one host are; long-polls and reaps."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import DiskError
from ..base.times import parse_time, utc_now
from ..base.wording import progress_line
from ..container.engine import Container, Engine, EngineError
from . import catalogue as catalogue_rules
from .asked import Asked
from .folder import StageFolder
from .plan import PlannedStage
from .reap import NotSaved, reap, record_engine_gone

# A new phase or percentage is worth a line this often; a changed state at once.
PROGRESS_SECONDS = 4
LOOK_SECONDS = 1.0
# A look costs the host some milliseconds: a stage that measures it is looked at less often.
LOOK_AT_MEASURED_SECONDS = 4.0


@dataclass
class Seen:
    """One stage as it is now."""

    stage: str
    state: str
    key: str | None = None
    attempt: int | None = None
    reason: str = ""
    line: str = ""
    token: str = ""
    cause: str = ""
    message: str = ""
    exit_code: int | None = None
    log_tail: list[str] = field(default_factory=list)
    document: dict[str, Any] | None = None


def watch(
    asked: Asked, engine: Engine, stage: str | None, wait_seconds: float, token: str, check: bool
) -> tuple[list[Seen], str]:
    """All stages (or one) and their common token; waits while the token stays what it was."""
    started = time.monotonic()
    while True:
        if not check:
            # On a full disk nobody else can take the run either; the stage's own end matters more.
            with suppress(DiskError):
                asked.keep_lease()
        seen = look(asked, engine, stage, check)
        now = "|".join(entry.token for entry in seen)
        waited = time.monotonic() - started
        if waited >= wait_seconds or is_news(asked.catalogue, seen, token, now, waited):
            return seen, now
        pause = LOOK_AT_MEASURED_SECONDS if _measures(asked.catalogue, seen) else LOOK_SECONDS
        _pause(engine, seen, min(pause, wait_seconds - waited))


def _pause(engine: Engine, seen: list[Seen], seconds: float) -> None:
    """Until the next look, or until what runs has ended."""
    running = [entry for entry in seen if entry.state == "running" and entry.key is not None]
    # What the engine does not answer now, the next look tells.
    with suppress(EngineError):
        for entry in running:
            alive = [c for c in engine.containers(entry.stage, str(entry.key)) if c.alive]
            if not alive:
                return
            engine.await_end(alive[0], seconds)
            return
    time.sleep(seconds)


def is_news(catalogue: dict[str, Any], seen: list[Seen], old: str, new: str, waited: float) -> bool:
    """Worth an answer now, `waited` seconds into the call?"""
    if old == new:
        return False
    if _states(old) != _states(new):
        return True
    # Each answer costs a python start: a stage that measures the host is left in peace.
    return waited >= PROGRESS_SECONDS and not _measures(catalogue, seen)


def _measures(catalogue: dict[str, Any], seen: list[Seen]) -> bool:
    running = [entry.stage for entry in seen if entry.state == "running"]
    return any(
        catalogue_rules.is_measured(catalogue_rules.stage(catalogue, name)) for name in running
    )


def running_token(stage: str, attempt: int | None) -> str:
    """What is said of a running stage before it has told how far it is."""
    return f"{stage}=running/{attempt}"


def _states(token: str) -> list[str]:
    return [part.split(" ")[0] for part in token.split("|")]


def look(asked: Asked, engine: Engine, stage: str | None, check: bool) -> list[Seen]:
    """Every stage of the catalogue in order, or the one named."""
    planned = {entry.name: entry for entry in asked.plan()}
    names = [entry["name"] for entry in catalogue_rules.stages(asked.catalogue)]
    if stage is not None:
        catalogue_rules.stage(asked.catalogue, stage)
        names = [stage]
    found = []
    for name in names:
        entry = planned.get(name)
        seen = (
            Seen(name, "skipped", reason="does not apply to this request")
            if entry is None
            else _look_at(asked, engine, entry, check)
        )
        seen.line = seen.line or f"{name} {seen.state}" + (seen.reason and f": {seen.reason}")
        seen.token = seen.token or f"{name}={seen.state}/{seen.attempt}"
        found.append(seen)
    return found


def _look_at(asked: Asked, engine: Engine, planned: PlannedStage, check: bool) -> Seen:
    if planned.key is None:
        return Seen(planned.name, "absent", reason=f"key {planned.waits_for}")
    folder = asked.folder(planned.name, planned.key)
    try:
        container = _living(folder, engine)
        if container is not None and (check or not engine.end_overdue([container])):
            return _running(folder, container)
        if not check and folder.path.is_dir():
            return _settled(folder, engine)
    except EngineError as error:
        # A restarting engine is waited for; the deadline bounds it.
        reason = f"the state of its container is not known: {error}"
        if not folder.manifest.exists():
            return Seen(planned.name, "unknown", planned.key, reason=reason)
    except NotSaved as error:
        if not folder.manifest.exists():
            return _failed(folder, max(folder.attempts()), error.ended, f" {error}")
    return _at_rest(folder)


def _living(folder: StageFolder, engine: Engine) -> Container | None:
    alive = [c for c in engine.containers(folder.stage, folder.key) if c.alive]
    return alive[0] if alive else None


def _settled(folder: StageFolder, engine: Engine) -> Seen:
    """Nothing lives: save what ended, then read the result. Waits for a start in progress."""
    with folder.locked():
        for container in engine.containers(folder.stage, folder.key):
            if container.alive:
                return _running(folder, container)
            reap(folder, engine, container)
        last = max(folder.attempts(), default=0)
        if last and not (folder.attempt_path(last) / "exit.json").exists():
            record_engine_gone(folder, last)
        return _at_rest(folder)


def _at_rest(folder: StageFolder) -> Seen:
    document, damage = folder.examine()
    if document is not None:
        reason = f"made by run {document['run_id']} at {document['finished_at']}"
        return Seen(
            folder.stage, "done", folder.key, document["attempt"], reason, document=document
        )
    attempts = folder.attempts()
    ended = folder.attempt_document(attempts[-1], "exit.json") if attempts else None
    if ended is None or not ended["cause"]:
        kept = "" if folder.elsewhere() is None else "only its manifest is here"
        return Seen(folder.stage, "absent", folder.key, reason=damage or kept or "not made yet")
    log = f" Its log: {folder.log_path(attempts[-1])}."
    return _failed(folder, attempts[-1], ended, log)


def _failed(folder: StageFolder, attempt: int, ended: dict[str, Any], more: str) -> Seen:
    return Seen(
        folder.stage,
        "failed",
        folder.key,
        attempt,
        reason=f"attempt {attempt} ended: {ended['cause']}",
        cause=ended["cause"],
        message=f"{ended['message']}{more}",
        exit_code=ended["exit_code"],
        log_tail=ended.get("log_tail", []),
    )


def _running(folder: StageFolder, container: Container) -> Seen:
    attempt = container.attempt
    status = folder.attempt_document(attempt, "status.json")
    asked = folder.attempt_document(attempt, "request.json")
    token = running_token(folder.stage, attempt)
    line = f"{folder.stage} starting"
    if asked is not None:
        line = progress_line(
            folder.stage,
            status,
            parse_time(asked["created_at"]),
            parse_time(asked["deadline"]),
            utc_now(),
        )
    if status is not None:
        percent = "" if status["percent"] is None else int(status["percent"])
        token += f" {percent}% {status['phase'].replace('|', '/')}"
    return Seen(folder.stage, "running", folder.key, attempt, line=line, token=token)

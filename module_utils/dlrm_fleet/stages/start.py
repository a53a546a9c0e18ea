"""dlrm_stage: find a stage done or running, or start one container for it."""

from __future__ import annotations

import time
from typing import Any

from ..base.errors import FleetError
from ..base.owner import Owner
from ..base.times import parse_time, utc_now
from ..base.wording import duration
from ..container.engine import LABEL, Container, Engine
from . import catalogue as catalogue_rules, secrets, sources as source_files
from .asked import Asked, HostPlan, Start
from .deadline import seconds_to_run
from .folder import StageFolder
from .key import short
from .launch import launch, prepare
from .plan import PlannedStage
from .reap import reap
from .view import StageView, done_view

# One call hashes a user's folder for about this long, then says how far it is.
HASH_SECONDS = 12
# One call waits so long for this run's other stage.
WAIT_SECONDS = 12


def start_stage(plan: HostPlan, start: Start, engine: Engine) -> StageView:
    """Find the stage done or running, or start it; in check mode say what would happen."""
    asked, stage = plan.asked, start.stage
    entry = catalogue_rules.stage(asked.catalogue, stage)
    if stage not in plan.entries:
        reason = f"not part of a request with {_when(entry, asked)}"
        return StageView(stage, "skipped", reason)
    owner = Owner(start.user)
    if not start.check:
        if not asked.root.is_dir():
            raise FleetError(
                f"there is no folder {str(asked.root)!r} on this host",
                "stages are kept below it",
                "Run role dlrm_host first",
            )
        asked.keep_lease()
    document = None if start.force else plan.spared(stage)
    if document is not None:
        return _spared(stage, document)
    if not start.check:
        pending = _hash_source(asked, entry)
        if pending:
            seconds_to_run(asked, start)
            return StageView(stage, "preparing", pending, lines=[f"{stage} {pending}"])
    planned = plan.stage(stage)
    if planned.key is None:
        if not start.check:
            raise FleetError(
                f"cannot start stage {stage!r}",
                f"its key is {planned.waits_for}",
                "Run the earlier stages first",
            )
        return _would_run(asked, planned, f"key {planned.waits_for}", "absent")
    folder = plan.folder(stage, planned.key)
    if start.check:
        return _check(plan, start, planned, folder, engine)
    with folder.locked(owner):
        return _settle(plan, start, folder, engine, owner)


def _when(entry: dict[str, Any], asked: Asked) -> str:
    return ", ".join(f"{name}={asked.request['parameters'].get(name)}" for name in entry["when"])


def _spared(stage: str, document: dict[str, Any]) -> StageView:
    key, gone = document["key"], document["provenance"].get("released")
    where = f"was removed at {gone['at']}" if gone else "lies on the storage node"
    reason = (
        f"skipped because {short(key)} {where},"
        f" made by run {document['run_id']}, and nothing here reads it"
    )
    return StageView(stage, "skipped", reason, key, document=document, lines=[f"{stage} {reason}"])


def _hash_source(asked: Asked, entry: dict[str, Any]) -> str:
    """How far hashing is; empty when nothing is left to hash."""
    source = catalogue_rules.source(entry, asked.request)
    if source is None or source["kind"] != "folder":
        return ""
    return source_files.hash_folder(asked.root, source["path"], HASH_SECONDS, asked.keep_lease).line


def _check(
    plan: HostPlan, start: Start, planned: PlannedStage, folder: StageFolder, engine: Engine
) -> StageView:
    """Check mode: what a start would find. It changes nothing."""
    try:
        found = engine.containers(folder.stage, folder.key)
    except FleetError:
        # A bare machine: no SDK or no engine, so nothing runs.
        found = []
    for container in found:
        if container.status == "running":
            return _attached(folder, container)
    document, damage = folder.examine(plan.request["verify"])
    remake = _remake_reason(plan.asked, start, document, damage)
    if document is not None and not remake:
        return done_view(folder.stage, document, plan.asked.run_id)
    reason = remake or f"no result with key {short(folder.key)} yet"
    return _would_run(plan.asked, planned, reason, _before(document, damage))


def _settle(
    plan: HostPlan, start: Start, folder: StageFolder, engine: Engine, owner: Owner
) -> StageView:
    """Under the stage's lock: done, running, or a new attempt."""
    asked = plan.asked
    alive = _reap_ended(folder, engine)
    if alive is not None:
        return _attached(folder, alive)
    document, damage = folder.examine(asked.request["verify"], asked.keep_lease)
    remake = _remake_reason(asked, start, document, damage)
    if document is not None and not remake:
        return done_view(folder.stage, document, asked.run_id)
    # Refuse first: a result is not removed when its successor cannot start.
    awaited = _await_company(plan, start, folder, engine)
    if awaited is not None:
        return awaited
    spec, request = prepare(plan, start, folder, engine)
    secret = secrets.of_stage(plan, start)
    if remake:
        folder.discard()
    plan.forget(start.stage)
    attempt = folder.new_attempt(owner)
    reason = remake or _why_absent(folder, attempt)
    launch(folder, engine, owner, spec, request, attempt, secret)
    left = duration((parse_time(start.deadline) - utc_now()).total_seconds(), hours=True)
    line = f"{start.stage} started, attempt {attempt}: {reason}, deadline in {left}"
    diff = _diff(asked, _before(document, damage), attempt)
    return StageView(
        start.stage, "running", reason, folder.key, attempt, lines=[line], changed=True, diff=diff
    )


def _reap_ended(folder: StageFolder, engine: Engine) -> Container | None:
    """The living container, if any. Under the lock, "created" means that whoever made it died."""
    alive = None
    found = engine.containers(folder.stage, folder.key)
    if engine.end_overdue(found):
        found = engine.containers(folder.stage, folder.key)
    for container in found:
        if container.status == "created" or not container.alive:
            reap(folder, engine, container)
        else:
            alive = container
    return alive


def _await_company(
    plan: HostPlan, start: Start, folder: StageFolder, engine: Engine
) -> StageView | None:
    """A container that still runs would take memory and time from this run's stage.

    One of this run is awaited: its controller died, and an earlier stage has a new key since then.
    One of another run is refused.
    """
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        others = engine.others(folder.key)
        if engine.end_overdue(others):
            others = engine.others(folder.key)
        if not others:
            return None
        other = others[0]
        run_id = other.labels.get(f"{LABEL}.run_id", "unknown")
        if run_id != plan.asked.run_id:
            raise FleetError(
                f"cannot start stage {start.stage!r}",
                f"container {other.name} of run {run_id} still runs on this host,"
                f" since {other.started_at[:19]}Z",
                f"Wait until it ends, or stop it: docker stop {other.name}",
            )
        if time.monotonic() >= ends:
            seconds_to_run(plan.asked, start)
            pending = (
                f"waits for container {other.name} of this run, since {other.started_at[:19]}Z;"
                f" docker stop {other.name} ends it"
            )
            return StageView(start.stage, "preparing", pending, lines=[f"{start.stage} {pending}"])
        plan.asked.keep_lease()
        time.sleep(1)


def _remake_reason(asked: Asked, start: Start, document: dict[str, Any] | None, damage: str) -> str:
    if damage:
        return f"remade because {damage}"
    made_by = document["run_id"] if document is not None else asked.run_id
    if start.force and made_by != asked.run_id:
        return f"remade by force; run {made_by} had made it"
    return ""


def _why_absent(folder: StageFolder, attempt: int) -> str:
    if folder.elsewhere() is not None:
        return "only its manifest is here, and its files are needed"
    if attempt == 1:
        return f"no result with key {short(folder.key)} yet"
    ended = folder.ended(attempt - 1)
    cause = "" if ended is None else ended.cause
    return f"attempt {attempt - 1} ended without a result" + (f" ({cause})" if cause else "")


def _attached(folder: StageFolder, container: Container) -> StageView:
    run_id = container.labels[f"{LABEL}.run_id"]
    reason = f"attached to attempt {container.attempt}, started by run {run_id}"
    line = f"{folder.stage} {reason}"
    return StageView(folder.stage, "running", reason, folder.key, container.attempt, lines=[line])


def _would_run(asked: Asked, planned: PlannedStage, reason: str, before: str) -> StageView:
    line = f"{planned.name} would run: {reason}"
    diff = _diff(asked, before, None)
    return StageView(
        planned.name, "would_run", reason, planned.key, lines=[line], changed=True, diff=diff
    )


def _before(document: dict[str, Any] | None, damage: str) -> str:
    if damage:
        return f"damaged: {damage}"
    if document is None:
        return "absent"
    return f"made by run {document['run_id']} at {document['finished_at']}"


def _diff(asked: Asked, before: str, attempt: int | None) -> dict[str, str]:
    after = f"made by run {asked.run_id or '(new)'}" + (f", attempt {attempt}" if attempt else "")
    return {"before": f"{before}\n", "after": f"{after}\n"}

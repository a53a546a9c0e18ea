"""dlrm_stage: find a stage done or running, or start one container for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..base.documents import write_json_atomic
from ..base.errors import FleetError
from ..base.owner import Owner
from ..base.times import format_time, parse_time, utc_now
from ..base.wording import duration
from ..container.engine import LABEL, Container, ContainerSpec, Engine
from ..host.kernel import boot, oom_kills
from . import catalogue as catalogue_rules, sources as source_files
from .asked import Asked, Start
from .folder import StageFolder, ensure_links
from .key import short
from .launch import _seconds_left
from .plan import PlannedStage
from .prune import release_inputs
from .reap import reap, record_not_started

# One call hashes a user's folder for about this long, then says how far it is.
HASH_SECONDS = 12


@dataclass
class Result:
    """What dlrm_stage returns; `state` as in its RETURN."""

    state: str
    changed: bool
    reason: str
    line: str
    key: str | None = None
    attempt: int | None = None
    document: dict[str, Any] | None = None
    diff: dict[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    seconds_left: int = 0


def start_stage(asked: Asked, start: Start, engine: Engine) -> Result:
    entry = catalogue_rules.stage(asked.catalogue, start.stage)
    if not catalogue_rules.applies(entry, asked.request["parameters"]):
        reason = f"not part of a request with {_when(entry, asked)}"
        return Result("skipped", False, reason, f"{start.stage} skipped: {reason}")
    owner = Owner(start.user)
    if not start.check:
        if not asked.root.is_dir():
            raise FleetError(
                f"there is no folder {str(asked.root)!r} on this host",
                "stages are kept below it",
                "Run role dlrm_host first",
            )
        asked.keep_lease()
    document = None if start.force else asked.spared(start.stage)
    if document is not None:
        return _spared(start, document)
    if not start.check:
        pending = _hash_source(asked, entry)
        if pending:
            _seconds_left(asked, start)
            return Result("preparing", False, pending, f"{start.stage} {pending}")
    planned = next(stage for stage in asked.plan() if stage.name == start.stage)
    if planned.key is None:
        if not start.check:
            raise FleetError(
                f"cannot start stage {start.stage!r}",
                f"its key is {planned.waits_for}",
                "Run the earlier stages first",
            )
        return _would_run(asked, start, planned, planned.waits_for, "absent")
    work = _Work(asked, start, planned, asked.folder(start.stage, planned.key), engine, owner)
    if start.check:
        return work.check()
    with work.folder.locked(owner):
        return work.settle()


def _when(entry: dict[str, Any], asked: Asked) -> str:
    return ", ".join(f"{name}={asked.request['parameters'].get(name)}" for name in entry["when"])


def _spared(start: Start, document: dict[str, Any]) -> Result:
    gone = document["provenance"].get("released")
    where = f"was removed at {gone['at']}" if gone else "lies on the storage node"
    reason = (
        f"skipped because {short(document['key'])} {where},"
        f" made by run {document['run_id']}, and nothing here reads it"
    )
    key, line = document["key"], f"{start.stage} {reason}"
    return Result("skipped", False, reason, line, key, document=document)


def _hash_source(asked: Asked, entry: dict[str, Any]) -> str:
    """Empty when nothing is left to hash, else how far it is."""
    source = catalogue_rules.source(entry, asked.request)
    if source is None or source["kind"] != "folder":
        return ""
    return source_files.hash_folder(asked.root, source["path"], HASH_SECONDS, asked.keep_lease).line


def _would_run(
    asked: Asked, start: Start, planned: PlannedStage, reason: str, before: str
) -> Result:
    if planned.key is None:
        reason = f"key {reason}"
    line = f"{start.stage} would run: {reason}"
    diff = _diff(asked, before, None)
    return Result("would_run", True, reason, line, planned.key, diff=diff)


def _before(document: dict[str, Any] | None, damage: str) -> str:
    if damage:
        return f"damaged: {damage}"
    if document is None:
        return "absent"
    return f"made by run {document['run_id']} at {document['finished_at']}"


def _diff(asked: Asked, before: str, attempt: int | None) -> dict[str, str]:
    after = f"made by run {asked.run_id or '(new)'}" + (f", attempt {attempt}" if attempt else "")
    return {"before": f"{before}\n", "after": f"{after}\n"}


@dataclass(frozen=True)
class _Work:
    """One stage whose key is known."""

    asked: Asked
    start: Start
    planned: PlannedStage
    folder: StageFolder
    engine: Engine
    owner: Owner

    def settle(self) -> Result:
        """Under the stage's lock: done, running, or a new attempt."""
        alive = self._reap_ended()
        if alive is not None:
            return self._attached(alive)
        document, damage = self.folder.examine(self.asked.request["verify"], self.asked.keep_lease)
        remake = self._remake_reason(document, damage)
        if document is not None and not remake:
            return self._done(document)
        # Refusals first: a result is not removed when its successor cannot start.
        self._refuse_company()
        spec, request = self._prepare()
        if remake:
            self.folder.discard()
        attempt = self.folder.new_attempt(self.owner)
        reason = remake or self._why_absent(attempt)
        self._launch(spec, request, attempt)
        left = duration((parse_time(self.start.deadline) - utc_now()).total_seconds(), hours=True)
        line = f"{self.start.stage} started, attempt {attempt}: {reason}, deadline in {left}"
        diff = _diff(self.asked, _before(document, damage), attempt)
        return Result("running", True, reason, line, self.folder.key, attempt, diff=diff)

    def check(self) -> Result:
        try:
            found = self.engine.containers(self.folder.stage, self.folder.key)
        except FleetError:
            # A bare machine: no SDK or no engine, so nothing runs.
            found = []
        for container in found:
            if container.status == "running":
                return self._attached(container)
        document, damage = self.folder.examine(self.asked.request["verify"])
        remake = self._remake_reason(document, damage)
        if document is not None and not remake:
            return self._done(document)
        reason = remake or f"no result with key {short(self.folder.key)} yet"
        return _would_run(self.asked, self.start, self.planned, reason, _before(document, damage))

    def _reap_ended(self) -> Container | None:
        """The living container, if any. Under the lock "created" means that its starter died."""
        alive = None
        found = self.engine.containers(self.folder.stage, self.folder.key)
        if self.engine.end_overdue(found):
            found = self.engine.containers(self.folder.stage, self.folder.key)
        for container in found:
            if container.status == "created" or not container.alive:
                reap(self.folder, self.engine, container)
            else:
                alive = container
        return alive

    def _refuse_company(self) -> None:
        """What another run left running takes memory and time from this one's measurement."""
        others = self.engine.others(self.folder.key)
        if self.engine.end_overdue(others):
            others = self.engine.others(self.folder.key)
        if others:
            other = others[0]
            run_id = other.labels.get(f"{LABEL}.run_id", "unknown")
            raise FleetError(
                f"cannot start stage {self.start.stage!r}",
                f"container {other.name} of run {run_id} still runs on this host,"
                f" since {other.started_at[:19]}Z",
                f"Wait until it ends, or stop it: docker stop {other.name}",
            )

    def _remake_reason(self, document: dict[str, Any] | None, damage: str) -> str:
        if damage:
            return f"remade because {damage}"
        made_by = document["run_id"] if document is not None else self.asked.run_id
        if self.start.force and made_by != self.asked.run_id:
            return f"remade by force, it was made by run {made_by}"
        return ""

    def _why_absent(self, attempt: int) -> str:
        if self.folder.elsewhere() is not None:
            return "only its manifest is here, and its files are needed"
        if attempt == 1:
            return f"no result with key {short(self.folder.key)} yet"
        previous = self.folder.attempt_document(attempt - 1, "exit.json") or {}
        cause = previous.get("cause")
        return f"attempt {attempt - 1} ended without a result" + (f" ({cause})" if cause else "")

    def _attached(self, container: Container) -> Result:
        run_id = container.labels[f"{LABEL}.run_id"]
        reason = f"attached to attempt {container.attempt}, started by run {run_id}"
        line = f"{self.start.stage} {reason}"
        return Result("running", False, reason, line, self.folder.key, container.attempt)

    def _done(self, document: dict[str, Any]) -> Result:
        made = f"{short(self.folder.key)} made by run {document['run_id']}"
        reason = f"skipped because {made} at {document['finished_at']}"
        line = f"{self.start.stage} {reason}"
        if document["run_id"] == self.asked.run_id:
            took = parse_time(document["finished_at"]) - parse_time(document["started_at"])
            reason = f"{short(self.folder.key)} made by this run at {document['finished_at']}"
            line = f"{self.start.stage} done in {duration(took.total_seconds())}"
        links = catalogue_rules.links(
            self.planned.entry, self.asked.request["parameters"], self.asked.architecture
        )
        made_links, warnings = ensure_links(self.folder, links, self.owner, self.start.check)
        released = release_inputs(
            self.asked, self.start.stage, self.engine, self.owner, self.start.check
        )
        changes = [*made_links, *released.removed]
        return Result(
            state="done",
            changed=bool(changes),
            reason=reason,
            line="; ".join([line, *released.removed]),
            key=self.folder.key,
            attempt=document["attempt"],
            document=document,
            diff={"before": "", "after": "\n".join([*changes, ""])} if changes else None,
            warnings=[*warnings, *released.warnings],
        )

    def _prepare(self) -> tuple[ContainerSpec, dict[str, Any]]:
        """Container and request.json but for their attempt; all that can refuse a start."""
        asked, entry = self.asked, self.planned.entry
        if asked.image is None or asked.run_id is None:
            raise FleetError(
                f"cannot start stage {self.start.stage!r}", "image and run_id must be given"
            )
        seconds = _seconds_left(asked, self.start)
        image_id = self.engine.image_id(asked.image)
        mounts: list[tuple[Path, str, bool]] = [(self.folder.path, "/dlrm/output", False)]
        inputs: dict[str, list[dict[str, Any]]] = {}
        for stage, (key, outputs) in self.planned.inputs.items():
            if not asked.folder(stage, key).manifest.exists():
                raise FleetError(
                    f"cannot start stage {self.start.stage!r}",
                    f"the files of its input {stage!r} are not here, its manifest alone",
                    f"Make them here with -e force_stages={stage}, or remove "
                    f"{str(self.folder.path)!r} and have this stage restored",
                )
            below = f"/dlrm/inputs/{stage}"
            mounts.append((asked.folder(stage, key).path, below, True))
            inputs[stage] = [{**output, "path": f"{below}/{output['name']}"} for output in outputs]
        source = catalogue_rules.source(entry, asked.request)
        if source is not None and source["kind"] == "folder":
            mounts.append((Path(source["path"]), "/dlrm/source", True))
            source = {"kind": "folder", "path": "/dlrm/source"}
        spec = ContainerSpec(
            name=f"dlrm-{self.start.stage}-{short(self.folder.key)}",
            # By id: the name may move to another image before the start.
            image=image_id,
            user=self.owner.text,
            seconds=seconds,
            labels={
                LABEL: "stage",
                f"{LABEL}.root": str(asked.root),
                f"{LABEL}.stage": self.start.stage,
                f"{LABEL}.key": self.folder.key,
                f"{LABEL}.run_id": asked.run_id,
                f"{LABEL}.boot": boot(),
                f"{LABEL}.oom_kills": str(oom_kills()),
                f"{LABEL}.ends": str(int(time.monotonic()) + seconds),
            },
            mounts=mounts,
            network=catalogue_rules.needs_network(entry, asked.request),
            shm_bytes=catalogue_rules.shm_bytes(entry),
        )
        request = {
            "schema_version": 1,
            "stage": self.start.stage,
            "key": self.folder.key,
            "recipe": entry["recipe"],
            "run_id": asked.run_id,
            "parameters": asked.request["parameters"],
            "inputs": inputs,
            "source": source,
            "deadline": self.start.deadline,
            "provenance": {
                "image": asked.image,
                "image_id": image_id,
                "host": self.start.host,
                "architecture": asked.architecture,
                "controller": asked.controller["id"],
                "commit": self.start.commit,
            },
            "created_at": format_time(utc_now()),
        }
        return spec, request

    def _launch(self, spec: ContainerSpec, request: dict[str, Any], attempt: int) -> None:
        path = self.folder.attempt_path(attempt) / "request.json"
        write_json_atomic(path, {**request, "attempt": attempt})
        self.owner.take(path)
        spec = replace(
            spec,
            name=f"{spec.name}-{attempt}",
            labels={**spec.labels, f"{LABEL}.attempt": str(attempt)},
            mounts=[*spec.mounts, (path, "/dlrm/request.json", True)],
        )
        try:
            self.engine.start(spec)
        except FleetError as error:
            record_not_started(self.folder, attempt, str(error))
            raise

"""What a host has of a run: its verdict and the files that leave the host. Only reads."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.documents import read_document, read_text
from ..base.errors import FleetError
from ..host.document import machine_type, read_host
from ..judge.loadgen_log import DETAIL_NAME, SUMMARY_NAME
from ..judge.verdict import Evidence, Judgement, judge
from ..stages import catalogue as catalogue_rules, sources as source_files
from ..stages.catalogue import is_shared, keeps_files
from ..stages.folder import StageFolder
from ..stages.plan import Plan, PlannedStage

ACCURACY_LOG = "mlperf_log_accuracy.json"
# Larger outputs (an accuracy log of 1.45 GB) stay on the host; accuracy.txt holds their sha256.
RUN_FILE_BYTES = 16 * 1024**2
JUDGED = ("accuracy", "performance", "audit")
# Stages whose outputs go into the run's folder.
KEPT = ("tune", *JUDGED)


@dataclass
class Found:
    """The stages of a request. `stages`: done here; `elsewhere`: only their manifests are here."""

    root: Path
    entries: list[dict[str, Any]]
    parameters: dict[str, Any]
    stages: dict[str, PlannedStage] = field(default_factory=dict)
    elsewhere: dict[str, PlannedStage] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def document(self, stage: str) -> dict[str, Any] | None:
        return self.stages[stage].document if stage in self.stages else None

    def folder(self, stage: str) -> Path:
        planned = self.stages[stage]
        return StageFolder(self.root, stage, planned.key or "").path

    def text(self, stage: str, name: str) -> str | None:
        return read_text(self.folder(stage) / name) if stage in self.stages else None


def find(
    root: Path,
    catalogue: dict[str, Any],
    request: dict[str, Any],
    run_id: str | None,
    image: str,
    architecture: str,
) -> Found:
    """Leaves out stages that are missing, damaged or not planned; `unreadable` says why."""
    found = Found(root, catalogue_rules.stages(catalogue), request["parameters"])

    def read_stage(stage: str, key: str) -> dict[str, Any] | None:
        folder = StageFolder(root, stage, key)
        document, why = folder.examine()
        if why:
            found.unreadable.append(f"Stage {stage!r} is damaged on the host: {why}.")
        return document or folder.elsewhere()

    extra: dict[str, str | None] = {
        "image": image,
        "run_id": run_id,
        "architecture": architecture,
        "cpu": machine_type(read_host(root)),
    }
    try:
        planned = Plan(
            catalogue, request, extra, read_stage, lambda folder: _read_source(root, folder)
        ).stages()
    except FleetError as error:
        found.unreadable.append(str(error))
        planned = []
    known = {stage.name: stage for stage in planned if stage.document is not None}
    for name, stage in known.items():
        here = StageFolder(root, name, stage.key or "").manifest.exists()
        (found.stages if here else found.elsewhere)[name] = stage
    return found


def _read_source(root: Path, folder: str) -> list[dict[str, Any]] | None:
    try:
        return source_files.known(root, folder).files
    except FleetError:
        recalled = source_files.recalled(root, folder)
        if recalled is None:
            raise
        return recalled


def judge_found(found: Found, request: dict[str, Any]) -> Judgement:
    return judge(
        Evidence(
            request=request,
            accuracy=found.document("accuracy"),
            performance=found.document("performance"),
            audit=found.document("audit"),
            summary_text=found.text("performance", SUMMARY_NAME),
            detail_text=found.text("performance", DETAIL_NAME),
            accuracy_detail_text=found.text("accuracy", DETAIL_NAME),
            host=read_host(found.root),
            unreadable=tuple(found.unreadable),
        )
    )


def artifacts(found: Found, architecture: str) -> list[dict[str, Any]]:
    """{name, path, bytes, sha256, link} of each published file that exists here.

    Measured stages are left out: their files differ in every run.
    """
    files = []
    for entry in found.entries:
        document = found.document(entry["name"])
        if document is None or catalogue_rules.is_measured(entry):
            continue
        outputs = {output["name"]: output for output in document["outputs"]}
        for output, link in catalogue_rules.links(entry, found.parameters, architecture):
            if output in outputs:
                files.append(
                    {
                        "name": Path(link).name,
                        "path": str(found.folder(entry["name"]) / output),
                        "bytes": outputs[output]["bytes"],
                        "sha256": outputs[output]["sha256"],
                        "link": link,
                    }
                )
    return files


def shared_stages(found: Found, request: dict[str, Any]) -> list[dict[str, Any]]:
    """What other hosts may restore: {document, folder, files, source} of each stage.

    `files`: whether its outputs are fetched; `source`: the user's folder it was made from, or None.
    """
    shared = []
    for entry in found.entries:
        name = entry["name"]
        here = name in found.stages
        planned = found.stages.get(name) or _pruned(found, name)
        if planned is None or not is_shared(entry):
            continue
        source = catalogue_rules.source(entry, request)
        shared.append(
            {
                "document": planned.document,
                "folder": str(StageFolder(found.root, name, planned.key or "").path),
                "files": here and keeps_files(entry),
                "source": None
                if planned.source_files is None or source is None
                else {"folder": source["path"], "files": planned.source_files},
            }
        )
    return shared


def _pruned(found: Found, name: str) -> PlannedStage | None:
    """The stage if its files were removed here (keep=needed): later keys need its manifest."""
    planned = found.elsewhere.get(name)
    if planned is None or planned.document is None:
        return None
    return planned if "released" in planned.document["provenance"] else None


def run_files(found: Found) -> list[dict[str, Any]]:
    """{path, name, bytes, sha256} of each file for the run's folder on the storage node."""
    files = []
    # Where it cannot be read, the run has no host.json: it was judged without one.
    with suppress(FleetError):
        files.append(_hashed(found.root / "host.json", "host.json"))
    for name in found.stages:
        files.append(_hashed(found.folder(name) / "stage.json", f"stages/{name}.json"))
    for name, planned in found.elsewhere.items():
        path = StageFolder(found.root, name, planned.key or "").elsewhere_path
        files.append(_hashed(path, f"stages/{name}.json"))
    for stage in KEPT:
        document = found.document(stage) or {"outputs": []}
        for output in document["outputs"]:
            if _stays(stage, output):
                continue
            files.append(
                {
                    "path": str(found.folder(stage) / output["name"]),
                    "name": f"{stage}/{output['name']}",
                    "bytes": output["bytes"],
                    "sha256": output["sha256"],
                }
            )
    return files


def _stays(stage: str, output: dict[str, Any]) -> bool:
    is_score_log = stage == "accuracy" and output["name"] == ACCURACY_LOG
    return is_score_log or int(output["bytes"]) > RUN_FILE_BYTES


def _hashed(path: Path, name: str) -> dict[str, Any]:
    """A document; FleetError where it is no regular file, or too large for a run's folder."""
    content = read_document(path, RUN_FILE_BYTES)
    return {
        "path": str(path),
        "name": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }

"""What the storage node keeps of stages, and which of it a host needs for a request.

stages/<stage>/<key[:16]>/stage.json   the document of the host that made it; written last
stages/<stage>/<key[:16]>/<output>     links into store/; none where only the manifest is kept
sources/<sha256 of the path>.json      the files of a user's folder, from which keys are computed
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.documents import read_json, sha256_text, write_json_atomic
from ...base.errors import FleetError
from ...stages import catalogue as catalogue_rules
from ...stages.catalogue import is_shared
from ...stages.key import folder_name, short
from ...stages.plan import Plan, PlannedStage
from ...wire.stage_document import StageDocument


@dataclass(frozen=True)
class Wanted:
    """One stage a host gets: all its files, or its manifest alone."""

    document: dict[str, Any]
    files: bool

    def as_dict(self) -> dict[str, Any]:
        return {"document": self.document, "files": self.files}


class StageStore:
    """The storage node's files by content, and the stages they belong to."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str, key: str) -> Path:
        return self.root / "stages" / stage / folder_name(key)

    def stored(self, sha256: str) -> Path:
        """Where the file with this content lies, or would lie."""
        return self.root / "store" / "sha256" / sha256[:2] / sha256

    def read(self, stage: str, key: str) -> dict[str, Any] | None:
        """stage.json with this key; None if there is none or it cannot be read."""
        try:
            document = read_json(self.folder(stage, key) / "stage.json")
        except FleetError:
            return None
        return document if document.get("key") == key and document.get("outputs") else None

    def is_whole(self, document: dict[str, Any]) -> bool:
        """True if the store has every output; each was verified before it got its name."""
        for output in document["outputs"]:
            path = self.stored(output["sha256"])
            if not path.is_file() or path.stat().st_size != output["bytes"]:
                return False
        return True

    def keep(self, stage: StageDocument, check: bool = False) -> bool:
        """Keep a stage under its key. True: something had to be written."""
        folder = self.folder(stage.stage, stage.key)
        changed = False
        for output in stage.outputs:
            target, link = self.stored(output.sha256), folder / output.name
            wanted = os.path.relpath(target, link.parent)
            if not target.exists() or (link.is_symlink() and str(link.readlink()) == wanted):
                continue
            changed = True
            if not check:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(wanted)
        if self.read(stage.stage, stage.key) is not None:
            return changed
        if not check:
            folder.mkdir(parents=True, exist_ok=True)
            write_json_atomic(folder / "stage.json", stage.document)
        return True

    def _source_path(self, folder: str) -> Path:
        return self.root / "sources" / f"{sha256_text(folder)}.json"

    def keep_source(self, folder: str, files: list[dict[str, Any]], check: bool = False) -> bool:
        document = {"schema_version": 1, "folder": folder, "files": files}
        if self.source(folder) == files:
            return False
        if not check:
            self._source_path(folder).parent.mkdir(parents=True, exist_ok=True)
            write_json_atomic(self._source_path(folder), document)
        return True

    def source(self, folder: str) -> list[dict[str, Any]] | None:
        """The files this folder had when it was last used; None: it was never used."""
        try:
            found: list[dict[str, Any]] = read_json(self._source_path(folder))["files"]
        except (FleetError, KeyError):
            return None
        return found

    def plan(
        self, catalogue: dict[str, Any], request: dict[str, Any], architecture: str
    ) -> list[PlannedStage]:
        """The shared stages of a request with what is kept of each."""
        shared = [entry for entry in catalogue_rules.stages(catalogue) if is_shared(entry)]
        extra = {"image": None, "run_id": None, "architecture": architecture, "cpu": None}
        catalogue = {**catalogue, "stages": shared}
        return Plan(catalogue, request, extra, self.read, self.source).stages()

    def choose(
        self, catalogue: dict[str, Any], request: dict[str, Any], architecture: str
    ) -> tuple[list[Wanted], list[str]]:
        """(what a host gets; which stages its measurement reads cannot be restored, and why)."""
        planned = {stage.name: stage for stage in self.plan(catalogue, request, architecture)}
        parameters = request["parameters"]
        entries = catalogue_rules.stages(catalogue)
        measured = [
            entry
            for entry in entries
            if not is_shared(entry) and catalogue_rules.applies(entry, parameters)
        ]
        read = _inputs(measured, parameters) & set(planned)
        missing = []
        for name in sorted(read):
            if not self._has(planned[name]):
                missing.append(_why(planned[name]))
        files: set[str] = set()
        waiting = sorted(read)
        while waiting:
            name = waiting.pop()
            if self._has(planned[name]):
                files.add(name)
            else:
                # The host then makes it, from inputs that may be restored.
                waiting += sorted(_inputs([planned[name].entry], parameters))
        chosen = [
            Wanted(stage.document, name in files)
            for name, stage in planned.items()
            if stage.document is not None
        ]
        return chosen, missing

    def _has(self, stage: PlannedStage) -> bool:
        return stage.document is not None and self.is_whole(stage.document)


def _inputs(entries: list[dict[str, Any]], parameters: dict[str, Any]) -> set[str]:
    return {name for entry in entries for name, _ in catalogue_rules.inputs(entry, parameters)}


def _why(stage: PlannedStage) -> str:
    if stage.key is None:
        return f"{stage.name} (its key is {stage.waits_for})"
    if stage.document is None:
        return f"{stage.name} (no result with key {short(stage.key)})"
    return f"{stage.name} (its files are not in the store)"

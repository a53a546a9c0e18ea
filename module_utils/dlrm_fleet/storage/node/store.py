"""What the storage node keeps of stages, and which of it a host needs for a request.

stages/<stage>/<key[:16]>/stage.json   the document of the host that made it; written last
stages/<stage>/<key[:16]>/<output>     links into store/; none where only the manifest is kept
stages/<stage>/<key[:16]>.maker.json   which host it came from; an earlier release kept none
sources/<sha256 of the path>.json      the files of a user's folder, from which keys are computed
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.documents import read_json, sha256_text, sync_directory, write_json_atomic
from ...base.errors import DiskError, FleetError
from ...base.locks import exclusive_lock
from ...request.values import STAGES
from ...stages import catalogue as catalogue_rules
from ...stages.catalogue import is_shared
from ...stages.key import folder_name, short
from ...stages.plan import Plan, PlannedStage
from ...wire.host_answer import OfferedStage
from ...wire.stage_document import FilePromise, StageDocument, stage_document


@dataclass(frozen=True)
class Wanted:
    """One stage a host gets: all its files, or its manifest alone. `maker`: None if not known."""

    document: dict[str, Any]
    files: bool
    maker: str | None

    def as_dict(self) -> dict[str, Any]:
        return {"document": self.document, "files": self.files, "maker": self.maker}


class StageStore:
    """The storage node's files by content, and the stages they belong to.

    `makers`: the hosts whose stages other hosts get; empty: every host's. Stages that an earlier
    release kept are always given: it did not keep the host.
    """

    def __init__(self, root: Path, makers: Collection[str] = ()) -> None:
        self.root = root
        self.makers = makers

    def folder(self, stage: str, key: str) -> Path:
        return self.root / "stages" / stage / folder_name(key)

    def stored(self, sha256: str) -> Path:
        """Where the file with this content lies, or would lie."""
        return self.root / "store" / "sha256" / sha256[:2] / sha256

    def _maker_path(self, stage: str, key: str) -> Path:
        return self.folder(stage, key).with_suffix(".maker.json")

    def maker(self, stage: str, key: str) -> str | None:
        """The host from which the kept stage came; None if it is not known."""
        try:
            return str(read_json(self._maker_path(stage, key))["host"])
        except (FleetError, KeyError):
            return None

    def read(self, stage: str, key: str) -> dict[str, Any] | None:
        """stage.json with this key; None if no host may get it or it cannot be read."""
        kept = self._kept(stage, key)
        if kept is None or kept.key != key or not self._is_given(stage, key):
            return None
        return kept.document

    def _kept(self, stage: str, key: str) -> StageDocument | None:
        """What is kept in the key's folder, whoever made it: perhaps another key's."""
        path = self.folder(stage, key) / "stage.json"
        try:
            return stage_document(read_json(path), f"cannot read {str(path)!r}", STAGES)
        except FleetError:
            return None

    def _is_given(self, stage: str, key: str) -> bool:
        maker = self.maker(stage, key)
        return maker is None or not self.makers or maker in self.makers

    def is_whole(self, document: dict[str, Any]) -> bool:
        """True if the store has every output; each was verified before it got its name."""
        for output in document["outputs"]:
            path = self.stored(output["sha256"])
            if not path.is_file() or path.stat().st_size != output["bytes"]:
                return False
        return True

    def accept(
        self, host: str, stages: Sequence[OfferedStage]
    ) -> tuple[list[OfferedStage], list[str]]:
        """(the stages of this host that are kept under their keys; why others are refused)."""
        accepted, refused = [], []
        for stage in stages:
            refusal = self.refusal(stage.document, host)
            if refusal is not None:
                refused.append(str(refusal))
            elif self._is_kept(stage.document) or not self.makers or host in self.makers:
                accepted.append(stage)
        return accepted, refused

    def keep_all(
        self, host: str, stages: Sequence[OfferedStage], check: bool = False
    ) -> tuple[bool, list[str]]:
        """Keep what accept() returned, once its files are stored: (whether something was new;
        why stages are refused all the same, because another host was faster)."""
        changed, refused = False, []
        for stage in stages:
            try:
                changed = self.keep(stage.document, host, check) or changed
            except DiskError:
                raise
            except FleetError as refusal:
                refused.append(str(refusal))
                continue
            if stage.source is not None:
                folder, files = stage.source
                kept = self.keep_source(folder, [file.as_dict() for file in files], check)
                changed = kept or changed
        return changed, refused

    def _is_kept(self, stage: StageDocument) -> bool:
        kept = self._kept(stage.stage, stage.key)
        return kept is not None and kept.key == stage.key and _same(kept, stage)

    def refusal(self, stage: StageDocument, host: str) -> FleetError | None:
        """Why this host's outputs are not kept under the stage's key: others are kept already.

        What is kept gives way only to a host that is named as a maker where its own maker is not,
        and where its files have gone from the store.
        """
        kept = self._kept(stage.stage, stage.key)
        if kept is None or self._is_kept(stage):
            return None
        folder = self.folder(stage.stage, stage.key)
        outvoted = host in self.makers and not self._is_given(stage.stage, stage.key)
        had_files = any((folder / output.name).is_symlink() for output in kept.outputs)
        if outvoted or (had_files and not self.is_whole(kept.document)):
            return None
        maker = self.maker(stage.stage, stage.key)
        return FleetError(
            f"did not keep {stage.stage} {short(stage.key)} of {host} for other hosts",
            f"run {stage.run_id} on {host} made other files under this key than run {kept.run_id}"
            f" on {maker or 'a host that was not noted'} ({_difference(kept, stage)})",
            "The first ones stay. To have others in their place, remove"
            f" {str(folder)!r} on the storage node and bring them again",
        )

    def keep(self, stage: StageDocument, host: str, check: bool = False) -> bool:
        """Keep a stage of `host` under its key. True: something had to be written.

        FleetError if other outputs are kept under this key.
        """
        if check:
            return self._keep(stage, host, check=True)
        folder = self.folder(stage.stage, stage.key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(folder.parent):
            return self._keep(stage, host, check=False)

    def _keep(self, stage: StageDocument, host: str, check: bool) -> bool:
        refusal = self.refusal(stage, host)
        if refusal is not None:
            raise refusal
        folder = self.folder(stage.stage, stage.key)
        there = self._is_kept(stage)
        if not there and not check and (folder / "stage.json").exists():
            # Before its files and its maker change: it never speaks of those of another.
            (folder / "stage.json").unlink()
            sync_directory(folder)
        changed = self._link_outputs(folder, stage, check)
        named = there and (self._is_given(stage.stage, stage.key) or host not in self.makers)
        if not check and not named:
            folder.mkdir(parents=True, exist_ok=True)
            maker = {"schema_version": 1, "host": host}
            write_json_atomic(self._maker_path(stage.stage, stage.key), maker)
        if not check and not there:
            write_json_atomic(folder / "stage.json", stage.document)
        return changed or not there or not named

    def _link_outputs(self, folder: Path, stage: StageDocument, check: bool) -> bool:
        """Link the outputs that the store has; True: a link was missing."""
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
        return changed

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
                missing.append(self._why(planned[name]))
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
            Wanted(stage.document, name in files, self.maker(name, stage.key))
            for name, stage in planned.items()
            if stage.document is not None and stage.key is not None
        ]
        return chosen, missing

    def _has(self, stage: PlannedStage) -> bool:
        return stage.document is not None and self.is_whole(stage.document)

    def _why(self, stage: PlannedStage) -> str:
        if stage.key is None:
            return f"{stage.name} (its key is {stage.waits_for})"
        if stage.document is not None:
            return f"{stage.name} (its files are not in the store)"
        if not self._is_given(stage.name, stage.key):
            maker, makers = self.maker(stage.name, stage.key), ", ".join(self.makers)
            return f"{stage.name} (kept is what {maker} made, and only {makers} may)"
        return f"{stage.name} (no result with key {short(stage.key)})"


def _inputs(entries: list[dict[str, Any]], parameters: dict[str, Any]) -> set[str]:
    return {name for entry in entries for name, _ in catalogue_rules.inputs(entry, parameters)}


def _same(one: StageDocument, other: StageDocument) -> bool:
    return set(one.outputs) == set(other.outputs)


def _difference(kept: StageDocument, brought: StageDocument) -> str:
    """The first file in which they differ."""
    if kept.key != brought.key:
        return f"the key {kept.key} begins with the same characters"

    def first(files: Collection[FilePromise]) -> str:
        one = min(files, key=lambda file: file.name)
        return f"{one.name!r} with {one.size} bytes and sha256 {short(one.sha256)}"

    ours, theirs = set(kept.outputs), set(brought.outputs)
    more = [f"kept: {first(ours - theirs)}"] if ours - theirs else []
    return "; ".join([*more, *([f"brought: {first(theirs - ours)}"] if theirs - ours else [])])

"""Which stages a request takes on a host, their keys and what they wait for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Optional

from ..base.errors import FleetError
from . import catalogue as catalogue_rules
from .key import source_identity, stage_key

# (stage, key) -> stage.json of a finished, whole result, or None.
ReadStage = Callable[[str, str], Optional[dict[str, Any]]]
# A user's folder -> its files {name, sha256}, or None while they are not hashed.
ReadSource = Callable[[str], Optional[list[dict[str, Any]]]]


@dataclass(frozen=True)
class PlannedStage:
    """`key` is None while `waits_for` says what is not known yet.

    `inputs`: stage -> (its key, those of its outputs that enter).
    """

    name: str
    entry: dict[str, Any]
    key: str | None
    waits_for: str = ""
    document: dict[str, Any] | None = None
    inputs: dict[str, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    source_files: list[dict[str, Any]] | None = None


class Plan:
    """The stages that apply to a request. A stage found done is planned once and remembered."""

    def __init__(
        self,
        catalogue: dict[str, Any],
        request: dict[str, Any],
        extra: dict[str, str | None],
        read_stage: ReadStage,
        read_source: ReadSource,
    ) -> None:
        """`extra`: image, run_id, architecture, cpu; None: unknown."""
        self.catalogue = catalogue
        self.request = request
        self.entries = {
            entry["name"]: entry
            for entry in catalogue_rules.stages(catalogue)
            if catalogue_rules.applies(entry, request["parameters"])
        }
        self._extra = extra
        self._read_stage = read_stage
        self._read_source = read_source
        self._done: dict[str, PlannedStage] = {}

    def stages(self) -> list[PlannedStage]:
        """All of them, in order."""
        return [self.stage(name) for name in self.entries]

    def stage(self, name: str) -> PlannedStage:
        """The plan of one that applies."""
        found = self._done.get(name) or self._plan(self.entries[name])
        if found.document is not None:
            self._done[name] = found
        return found

    def forget(self, name: str) -> None:
        """The stage is made anew: what was remembered of it no longer holds."""
        self._done.pop(name, None)

    def readers(self, name: str) -> list[str]:
        """The stages of this request that have it as input."""
        return [
            reader
            for reader, entry in self.entries.items()
            if name in dict(catalogue_rules.inputs(entry, self.request["parameters"]))
        ]

    def _plan(self, entry: dict[str, Any]) -> PlannedStage:
        name = entry["name"]
        inputs: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        waits: list[str] = []
        for wanted, patterns in catalogue_rules.inputs(entry, self.request["parameters"]):
            if wanted not in self.entries:
                why = f"its input {wanted!r} does not apply to this request"
                raise FleetError(f"cannot plan stage {name!r}", why)
            made = self.stage(wanted)
            if made.key is None or made.document is None:
                waits.append(f"{wanted} is done")
                continue
            inputs[wanted] = (made.key, catalogue_rules.select(made.document["outputs"], patterns))
        source = catalogue_rules.source(entry, self.request)
        files: list[dict[str, Any]] | None = None
        if source is not None and source["kind"] == "folder":
            files = self._read_source(source["path"])
            if files is None:
                waits.append(f"the files of {source['path']} are hashed")
        known = {field_name: self._extra[field_name] for field_name in entry["key_extra"]}
        waits += [
            f"the {what.replace('_', ' ')} is known" for what, value in known.items() if not value
        ]
        if waits:
            return PlannedStage(name, entry, None, f"known once {' and '.join(waits)}")
        key = stage_key(
            entry,
            self.catalogue["implementation"],
            self.request["parameters"],
            [
                {"stage": stage, "name": output["name"], "sha256": output["sha256"]}
                for stage, (_key, outputs) in inputs.items()
                for output in outputs
            ],
            source_identity(source, files),
            {what: value for what, value in known.items() if value},
        )
        return PlannedStage(name, entry, key, "", self._read_stage(name, key), inputs, files)

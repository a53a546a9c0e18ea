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
    """`key` is None while `waits_for` holds; `inputs`: stage -> (its key, its chosen outputs)."""

    name: str
    entry: dict[str, Any]
    key: str | None
    waits_for: str = ""
    document: dict[str, Any] | None = None
    inputs: dict[str, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    source_files: list[dict[str, Any]] | None = None


def plan(
    catalogue: dict[str, Any],
    request: dict[str, Any],
    extra: dict[str, str | None],
    read_stage: ReadStage,
    read_source: ReadSource,
) -> list[PlannedStage]:
    """The stages that apply, in order. `extra`: image, run_id, architecture, cpu; None: unknown."""
    planned: dict[str, PlannedStage] = {}
    for entry in catalogue_rules.stages(catalogue):
        if catalogue_rules.applies(entry, request["parameters"]):
            planned[entry["name"]] = _plan_stage(
                entry, catalogue, request, extra, planned, read_stage, read_source
            )
    return list(planned.values())


def _plan_stage(
    entry: dict[str, Any],
    catalogue: dict[str, Any],
    request: dict[str, Any],
    extra: dict[str, str | None],
    planned: dict[str, PlannedStage],
    read_stage: ReadStage,
    read_source: ReadSource,
) -> PlannedStage:
    name = entry["name"]
    inputs: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    waits: list[str] = []
    for wanted, patterns in catalogue_rules.inputs(entry, request["parameters"]):
        made = planned.get(wanted)
        if made is None:
            raise FleetError(f"cannot plan stage {name!r}", f"its input {wanted!r} does not apply")
        if made.key is None or made.document is None:
            waits.append(f"{wanted} is done")
            continue
        inputs[wanted] = (made.key, catalogue_rules.select(made.document["outputs"], patterns))
    source = catalogue_rules.source(entry, request)
    files: list[dict[str, Any]] | None = None
    if source is not None and source["kind"] == "folder":
        files = read_source(source["path"])
        if files is None:
            waits.append(f"the files of {source['path']} are hashed")
    known = {field_name: extra[field_name] for field_name in entry["key_extra"]}
    waits += [
        f"the {what.replace('_', ' ')} is known" for what, value in known.items() if not value
    ]
    if waits:
        return PlannedStage(name, entry, None, f"known once {' and '.join(waits)}")
    key = stage_key(
        entry,
        catalogue["implementation"],
        request["parameters"],
        [
            {"stage": stage, "name": output["name"], "sha256": output["sha256"]}
            for stage, (_key, outputs) in inputs.items()
            for output in outputs
        ],
        source_identity(source, files),
        {what: value for what, value in known.items() if value},
    )
    return PlannedStage(name, entry, key, "", read_stage(name, key), inputs, files)

"""The catalogue (stages.json): which stages there are, what enters each, which apply. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from ..base.errors import FleetError
from ..container.shared_memory import DEFAULT_SHM_BYTES


def stages(catalogue: dict[str, Any]) -> list[dict[str, Any]]:
    """All stages in order; refuses a catalogue of another version or with an unknown input.

    In each `when`, "model" (the stage that makes the precision's model file) becomes "precision".
    """
    if catalogue.get("schema_version") != 1:
        raise FleetError(
            "cannot use the catalogue of stages",
            f"its schema_version must be 1, found {catalogue.get('schema_version')!r}",
            "Use the stages.json that lies beside the benchmark's code",
        )
    seen: set[str] = set()
    for stage in catalogue["stages"]:
        for wanted in stage["inputs"]:
            if wanted["stage"] not in seen:
                raise FleetError(
                    f"cannot use stage {stage['name']!r} of the catalogue",
                    f"its input {wanted['stage']!r} is not an earlier stage",
                )
        seen.add(stage["name"])
    precisions: dict[str, Any] = catalogue.get("precisions", {})
    return [_of_precisions(entry, precisions) for entry in catalogue["stages"]]


def _of_precisions(entry: dict[str, Any], precisions: dict[str, Any]) -> dict[str, Any]:
    """A stage, or one of its inputs, that applies to the precisions of a model instead."""
    found = dict(entry)
    if "inputs" in entry:
        found["inputs"] = [_of_precisions(wanted, precisions) for wanted in entry["inputs"]]
    when = dict(entry.get("when", {}))
    if "model" in when:
        stages_of_models = when.pop("model")
        when["precision"] = [
            name for name, one in precisions.items() if one["model"]["stage"] in stages_of_models
        ]
        found["when"] = when
    return found


def stage(catalogue: dict[str, Any], name: str) -> dict[str, Any]:
    found = [entry for entry in stages(catalogue) if entry["name"] == name]
    if not found:
        known = ", ".join(entry["name"] for entry in catalogue["stages"])
        raise FleetError(f"there is no stage {name!r}", f"the stages are {known}")
    return found[0]


def applies(entry: dict[str, Any], parameters: dict[str, Any]) -> bool:
    """Whether a stage or an input with this `when` applies to the request."""
    when: dict[str, list[str | bool]] = entry.get("when", {})
    return all(parameters.get(field) in allowed for field, allowed in when.items())


def inputs(entry: dict[str, Any], parameters: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """(stage, shell patterns of its files) for each input that applies."""
    return [
        (wanted["stage"], list(wanted.get("files", ["*"])))
        for wanted in entry["inputs"]
        if applies(wanted, parameters)
    ]


def select(outputs: list[dict[str, Any]], patterns: list[str]) -> list[dict[str, Any]]:
    """The outputs of a stage.json that a pattern names, by name."""
    chosen = [o for o in outputs if any(fnmatchcase(o["name"], pattern) for pattern in patterns)]
    return sorted(chosen, key=lambda output: str(output["name"]))


def links(
    entry: dict[str, Any], parameters: dict[str, Any], architecture: str
) -> list[tuple[str, str]]:
    """(output, path below the root) of the published file names."""
    values = {"architecture": architecture, "precision": parameters["precision"]}
    return [(link["output"], link["path"].format(**values)) for link in entry["links"]]


def source(entry: dict[str, Any], request: dict[str, Any]) -> dict[str, Any] | None:
    """Where the user's own files for this stage are; None: it takes none, or makes them itself."""
    field = entry.get("source")
    found: dict[str, Any] | None = request["sources"][field] if field else None
    return found


def needs_network(entry: dict[str, Any], request: dict[str, Any]) -> bool:
    origin = source(entry, request)
    return bool(entry["network"]) and origin is not None and origin["kind"] != "folder"


def is_measured(entry: dict[str, Any]) -> bool:
    """Whether it measures the machine and must not be disturbed: its key has the run or the CPU."""
    return bool({"run_id", "cpu"} & set(entry["key_extra"]))


def shm_bytes(entry: dict[str, Any]) -> int:
    return int(entry.get("shm_bytes", DEFAULT_SHM_BYTES))


def is_shared(entry: dict[str, Any]) -> bool:
    """Whether its result serves every host: neither image, run nor CPU enters its key."""
    return not {"image", "run_id", "cpu"} & set(entry["key_extra"])


def keeps_files(entry: dict[str, Any]) -> bool:
    """Whether the storage node keeps its files: not of those without published file names."""
    return is_shared(entry) and bool(entry["links"])

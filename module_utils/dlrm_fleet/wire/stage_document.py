"""stage.json of another machine or of a container: docs/contracts/stage.schema.json as types."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .fields import Fields

# Names in a stage's folder that no output may have.
RESERVED = ("stage.json", "elsewhere.json", "attempts")


@dataclass(frozen=True)
class FilePromise:
    """A file by its content: `name` is relative and plain, `size` in bytes."""

    name: str
    size: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class StageDocument:
    """Its names are safe as folders and files; `document` is the whole, for the reader of facts."""

    stage: str
    key: str
    run_id: str
    attempt: int
    outputs: tuple[FilePromise, ...]
    started_at: str
    finished_at: str
    document: dict[str, Any]


def stage_document(value: Any, what: str, stages: Collection[str]) -> StageDocument:
    """`stages`: the catalogue's names. Malformed where a field is missing, wrong or unknown."""
    return read_stage(Fields(value, what), stages)


def read_stage(fields: Fields, stages: Collection[str]) -> StageDocument:
    fields.version()
    fields.only(
        *("schema_version", "stage", "key", "recipe", "attempt", "run_id", "parameters", "inputs"),
        *("outputs", "facts", "provenance", "started_at", "finished_at"),
    )
    fields.integer("recipe", 1, 10**6)
    for name in ("parameters", "facts", "provenance"):
        fields.free(name)
    for one in fields.objects("inputs"):
        one.only("stage", "name", "bytes", "sha256")
        one.choice("stage", stages)
        promise(one)
    outputs = tuple(promise(one, "name", "bytes", "sha256") for one in fields.objects("outputs"))
    if not outputs:
        raise fields.refusal("its outputs must be one file or more")
    names = [output.name for output in outputs]
    fields.different("outputs", names)
    for name in names:
        if name.split("/")[0] in RESERVED:
            raise fields.refusal(f"an output may not have the name {name!r}")
    return StageDocument(
        fields.choice("stage", stages),
        fields.sha256("key"),
        fields.run_id("run_id"),
        fields.integer("attempt", 1, 10**6),
        outputs,
        fields.time("started_at"),
        fields.time("finished_at"),
        fields.values,
    )


def promise(fields: Fields, *only: str) -> FilePromise:
    """{name, bytes, sha256} of `fields`, whose other fields are refused where `only` is given."""
    if only:
        fields.only(*only)
    return FilePromise(fields.relative("name"), fields.size(), fields.sha256("sha256"))


def source_files(fields: Fields, name: str) -> tuple[FilePromise, ...]:
    """A user's own files: their names enter a key and are never made into paths."""
    found = []
    for one in fields.objects(name):
        one.only("name", "bytes", "sha256")
        found.append(FilePromise(one.line("name", 4096), one.size(), one.sha256("sha256")))
    return tuple(found)

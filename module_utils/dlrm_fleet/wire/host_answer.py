"""What a host says of a run, as the storage node reads it: the answer of storage/host/answer.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .fields import Fields
from .stage_document import FilePromise, StageDocument, promise, read_stage, source_files
from .strict_json import parse

STATES = ("closed", "damaged", "lapsed", "live", "orphaned")
# The storage node writes these into a run's folder itself. What begins so is not listed there.
RESERVED = ("run.json", "SHA256SUMS", "verdict.json")


@dataclass(frozen=True)
class OfferedFile:
    """A file of the host at `path`; `link`: its published name, None for a file of the run."""

    file: FilePromise
    path: str
    link: str | None = None


@dataclass(frozen=True)
class OfferedStage:
    """`files`: outputs can be fetched from `folder`; `source`: the user's folder it was made of."""

    document: StageDocument
    folder: str
    files: bool
    source: tuple[str, tuple[FilePromise, ...]] | None


@dataclass(frozen=True)
class HostAnswer:
    state: str
    deadline: str
    finished: bool
    artifacts: tuple[OfferedFile, ...]
    stages: tuple[OfferedStage, ...]
    run_files: tuple[OfferedFile, ...]


def host_answer(content: bytes, what: str, stages: Collection[str]) -> HostAnswer:
    """Malformed unless every field is what docs/contracts/answer.schema.json says."""
    return read_answer(Fields(parse(content, what), what, "the answer"), stages)


def read_answer(fields: Fields, stages: Collection[str]) -> HostAnswer:
    fields.only("state", "deadline", "finished", "artifacts", "stages", "run_files")
    return HostAnswer(
        fields.choice("state", STATES),
        fields.time("deadline"),
        fields.boolean("finished"),
        offered_artifacts(fields),
        offered_stages(fields, stages),
        offered_run_files(fields),
    )


def offered_artifacts(fields: Fields, name: str = "artifacts") -> tuple[OfferedFile, ...]:
    return tuple(_artifact(one) for one in fields.objects(name))


def offered_run_files(fields: Fields, name: str = "run_files") -> tuple[OfferedFile, ...]:
    files = tuple(_run_file(one) for one in fields.objects(name))
    fields.different(name, [offered.file.name for offered in files])
    return files


def offered_stages(
    fields: Fields, stages: Collection[str], name: str = "stages"
) -> tuple[OfferedStage, ...]:
    return tuple(_stage(one, stages) for one in fields.objects(name, 64))


def _artifact(fields: Fields) -> OfferedFile:
    fields.only("name", "path", "bytes", "sha256", "link")
    return OfferedFile(promise(fields), fields.absolute("path"), fields.relative("link"))


def _run_file(fields: Fields) -> OfferedFile:
    fields.only("name", "path", "bytes", "sha256")
    file = promise(fields)
    if file.name.startswith(RESERVED):
        raise fields.bad("name", "another name (this one is reserved)")
    return OfferedFile(file, fields.absolute("path"))


def _stage(fields: Fields, stages: Collection[str]) -> OfferedStage:
    fields.only("document", "folder", "files", "source")
    source = None
    if fields.values.get("source") is not None:
        one = fields.object("source")
        one.only("folder", "files")
        source = (one.folder("folder"), source_files(one, "files"))
    document = read_stage(fields.object("document"), stages)
    return OfferedStage(document, fields.absolute("folder"), fields.boolean("files"), source)

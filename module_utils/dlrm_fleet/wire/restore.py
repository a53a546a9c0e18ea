"""A restore, as each side reads the other: what the storage node offers, and what a host lacks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .fields import LARGEST_FILE, MOST_FILES, SHA256, Fields
from .stage_document import StageDocument, read_stage, source_files
from .strict_json import shown

# A request has two sources at most.
MOST_FOLDERS = 64


@dataclass(frozen=True)
class RestorableStage:
    """`files`: its outputs come along; else the host keeps its manifest alone.

    `maker`: the host that made it; None if the storage node does not know.
    """

    document: StageDocument
    files: bool
    maker: str | None = None


def restorable_stages(fields: Fields, stages: Collection[str]) -> tuple[RestorableStage, ...]:
    """The list 'stages' of an offer of the storage node."""
    found = []
    for one in fields.objects("stages", 64):
        one.only("document", "files", "maker")
        document = read_stage(one.object("document"), stages)
        maker = None if one.values.get("maker") is None else one.part("maker")
        found.append(RestorableStage(document, one.boolean("files"), maker))
    return tuple(found)


def known_sources(fields: Fields) -> dict[str, list[dict[str, Any]]]:
    """Files of users' folders: {folder: [{name, bytes, sha256}]}."""
    sources = fields.object("sources")
    if len(sources.values) > MOST_FOLDERS:
        raise fields.refusal(f"it names more than {MOST_FOLDERS} folders")
    for folder in sources.values:
        if not folder.startswith("/") or not folder.isprintable() or len(folder) > 4096:
            raise fields.refusal(f"{shown(folder)} is no folder's absolute path")
    return {
        folder: [file.as_dict() for file in source_files(sources, folder)]
        for folder in sources.values
    }


def lacking_files(value: Any, what: str) -> dict[str, int]:
    """{sha256: bytes} of the files that a host lacks: they are looked up by their content."""
    fields = Fields(value, what, "the list of files")
    if len(fields.values) > MOST_FILES:
        raise fields.refusal(f"it names more than {MOST_FILES} files")
    for sha256 in fields.values:
        if not SHA256.fullmatch(sha256):
            raise fields.refusal(f"{shown(sha256)} is no sha256 (64 hexadecimal digits)")
    return {sha256: fields.integer(sha256, 0, LARGEST_FILE) for sha256 in fields.values}

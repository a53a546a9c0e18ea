"""The storage node's entry of an image: which builder made it, its digest, and its archive."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..wire.fields import Fields
from ..wire.strict_json import Limits, Malformed, read
from .builders import ARCHITECTURE, KINDS, is_trusted

SCHEMA_VERSION = 2
IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
IMAGE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
LIMITS = Limits(size=64 * 1024, depth=4, nodes=100)


@dataclass(frozen=True)
class KeptImage:
    """`image_id`: the digest that the builder's engine gave; `size`: of the archive, in bytes."""

    name: str
    image_id: str
    architecture: str
    size: int
    sha256: str
    builder: str
    kind: str
    saved_at: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "id": self.image_id,
            "architecture": self.architecture,
            "bytes": self.size,
            "sha256": self.sha256,
            "builder": self.builder,
            "builder_kind": self.kind,
            "saved_at": self.saved_at,
        }


def kept_image(value: Any, what: str) -> KeptImage:
    """Malformed unless every field is as as_dict() writes it."""
    fields = Fields(value, what)
    fields.version(SCHEMA_VERSION)
    fields.integer("schema_version", SCHEMA_VERSION, SCHEMA_VERSION)
    fields.only(
        *("schema_version", "name", "id", "architecture", "bytes", "sha256"),
        *("builder", "builder_kind", "saved_at"),
    )
    return KeptImage(
        fields.matching("name", IMAGE_NAME, "an image's name and tag"),
        fields.matching("id", IMAGE_ID, "sha256: and 64 hexadecimal digits"),
        fields.matching("architecture", ARCHITECTURE, "an architecture's name"),
        fields.size(),
        fields.sha256("sha256"),
        fields.line("builder"),
        fields.choice("builder_kind", KINDS),
        fields.time("saved_at"),
    )


def usable(
    path: Path, name: str, architecture: str, measured: Collection[str]
) -> tuple[KeptImage | None, str]:
    """(the image kept under `path`, ''), or (None, why it is made anew); both empty: none is kept.

    Malformed where a newer release wrote the entry.
    """
    what = f"cannot use {str(path)!r}"
    try:
        document = read(path, LIMITS)
    except FileNotFoundError:
        return None, ""
    except Malformed as error:
        return None, f"it is made anew: {error}"
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version == 1:
        return None, (
            f"{str(path)!r} is of an earlier release, which kept the image of a measured host. "
            "The image is made anew."
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        Fields(document, what).version(SCHEMA_VERSION)
    try:
        kept = kept_image(document, what)
    except Malformed as error:
        return None, f"{error} The image is made anew."
    if (kept.name, kept.architecture) != (name, architecture):
        found = f"{kept.name} for {kept.architecture}"
        return None, f"{str(path)!r} is of another image ({found}). The image is made anew."
    if not is_trusted(kept.builder, kept.kind, measured):
        return None, (
            f"{str(path)!r} is of {kept.builder}, which is measured. The image is made anew."
        )
    return kept, ""

"""Documents below a host's root: containers and other users can write them, too."""

from __future__ import annotations

import os
from typing import Any

from ..base.documents import parse_json, read_document
from .fields import Fields
from .strict_json import DEFAULT, Limits, parse


def read_strictly(
    path: str | os.PathLike[str], schema_version: int | None = 1, limits: Limits = DEFAULT
) -> dict[str, Any]:
    """What base.documents.read_json reads, in its words, if it is strict JSON within `limits`.

    Raises FleetError; Malformed where read_json alone would have taken it.
    """
    content = read_document(path, limits.size)
    document = parse_json(content, path, schema_version)
    parse(content, f"cannot read {os.fspath(path)!r}", limits)
    return document


def run_of(path: str | os.PathLike[str]) -> str:
    """The id of the run that a stage.json, or an attempt's request.json, names.

    Raises FleetError; Malformed where it names none.
    """
    return Fields(read_strictly(path), f"cannot use {os.fspath(path)!r}").run_id("run_id")

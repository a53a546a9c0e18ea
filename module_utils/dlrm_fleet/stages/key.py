"""A stage's key: sha256 of everything that decides its bytes, and of nothing else. Pure."""

from __future__ import annotations

from typing import Any

from ..base.documents import canonical_json, sha256_text


def stage_key(
    entry: dict[str, Any],
    implementation: str,
    parameters: dict[str, Any],
    inputs: list[dict[str, str]],
    source: dict[str, Any] | None,
    extra: dict[str, str],
) -> str:
    """`inputs`: {stage, name, sha256} of each file; `source`: see source_identity."""
    return sha256_text(
        canonical_json(
            {
                "stage": entry["name"],
                "recipe": entry["recipe"],
                "implementation": implementation,
                "parameters": {name: parameters[name] for name in entry["parameters"]},
                "inputs": sorted(
                    ([file["stage"], file["name"], file["sha256"]] for file in inputs),
                ),
                "source": source,
                "extra": {name: extra[name] for name in entry["key_extra"]},
            }
        )
    )


def source_identity(
    source: dict[str, Any] | None, files: list[dict[str, Any]] | None
) -> dict[str, Any] | None:
    """A folder counts by its files' names and sha256, wherever it lies; a remote by its name."""
    if source is None or source["kind"] != "folder":
        return source
    listed = sorted([file["name"], file["sha256"]] for file in files or [])
    return {"kind": "folder", "files": listed}


def short(key: str) -> str:
    """As people read it, and as container names carry it."""
    return key[:12]


def folder_name(key: str) -> str:
    return key[:16]

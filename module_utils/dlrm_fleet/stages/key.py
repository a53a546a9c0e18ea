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
    """64 hexadecimal digits. `inputs`: {stage, name, sha256} of each file.

    `source`: see source_identity(). `extra`: values for the names in the stage's key_extra.
    """
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
    """The digits that messages and container names show."""
    return key[:12]


def folder_name(key: str) -> str:
    return key[:16]

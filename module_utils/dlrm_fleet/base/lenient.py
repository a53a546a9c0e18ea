"""Reads documents that may be incomplete, such as stage.json of an interrupted run."""

from __future__ import annotations

from typing import Any


def facts_of(document: Any) -> dict[str, Any]:
    """The facts of a stage.json; {} where there are none."""
    return as_dict(as_dict(document).get("facts"))


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else {}."""
    return value if isinstance(value, dict) else {}


def as_number(value: Any) -> float | None:
    """The value if it is a number (no bool), else None."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

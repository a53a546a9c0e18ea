"""Whether a type's verdict on a document is the schema's: refused in words, or taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import schemas
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.wire.strict_json import DEFAULT


def within_limits(value: Any, depth: int = 0) -> bool:
    """What no schema says: depth, length of texts and numbers, characters that can be written."""
    if isinstance(value, str):
        return len(value) <= DEFAULT.text and not any("\ud800" <= one <= "\udfff" for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 10**DEFAULT.digits
    inner = list(value.values()) + list(value) if isinstance(value, dict) else value or []
    return depth <= DEFAULT.depth and all(within_limits(one, depth + 1) for one in inner)


def is_taken(read: Callable[[Any], Any], document: Any) -> bool:
    """False: it was refused, in a sentence that a terminal may show."""
    try:
        read(document)
    except FleetError as error:
        message = str(error)
        assert message.isprintable(), ascii(message)
        assert len(message) < 1000, message
        assert error.why, message
        return False
    return True


def disagreement(name: str, read: Callable[[Any], Any], document: Any) -> str:
    """Empty where schema and type agree on the document."""
    allowed = schemas.validator(name).is_valid(document) and within_limits(document)
    taken = is_taken(read, document)
    if allowed == taken:
        return ""
    return "the type takes it, the schema does not" if taken else "the type refuses it"

"""Whether a type's verdict on a document is the schema's: refused in words, or taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.wire.strict_json import DEFAULT

import schemas


def within_limits(value: Any, depth: int = 0) -> bool:
    """What no schema says: depth, length of texts and numbers, characters that can be written."""
    if isinstance(value, str):
        return len(value) <= DEFAULT.text and not any("\ud800" <= one <= "\udfff" for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < int(10**DEFAULT.digits)
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


def is_refused(name: str, read: Callable[[Any], Any], document: Any, what: str = "") -> bool:
    """The type's verdict, which must be the schema's."""
    taken = is_taken(read, document)
    allowed = schemas.validator(name).is_valid(document) and within_limits(document)
    assert taken or not allowed, f"{name}: the type refuses what the schema allows, {what}"
    assert allowed or not taken, f"{name}: the type takes what the schema forbids, {what}"
    return not taken

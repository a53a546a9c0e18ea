"""status.json of a container: docs/contracts/status.schema.json as the host reads it."""

from __future__ import annotations

import re
from typing import Any

from .fields import Fields

STAGE = re.compile(r"[a-z_]{1,64}")
STATES = ("failed", "finished", "running")
# A rate of bytes and a time in seconds stay far below.
MOST = 10**18


def status_document(value: Any, what: str) -> dict[str, Any]:
    """The document, each field checked. Malformed where one is missing, wrong or unknown."""
    fields = Fields(value, what)
    fields.version()
    fields.only(
        *("schema_version", "stage", "key", "attempt", "state", "phase", "percent", "rate", "unit"),
        *("eta_seconds", "message", "started_at", "updated_at", "deadline"),
    )
    fields.matching("stage", STAGE, "a stage's name")
    fields.sha256("key")
    fields.integer("attempt", 1, 10**6)
    fields.choice("state", STATES)
    fields.line("phase", 4096)
    fields.number_or_none("percent", 0, 100)
    fields.number_or_none("rate", 0, MOST)
    fields.number_or_none("eta_seconds", 0, MOST)
    if fields.values.get("unit", "") is not None:
        fields.line("unit", 64)
    fields.text("message", 1024**2)
    for name in ("started_at", "updated_at", "deadline"):
        fields.time(name)
    return fields.values

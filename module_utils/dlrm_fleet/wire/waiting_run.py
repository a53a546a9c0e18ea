"""A run that waits to be collected, as the controller leaves word of it on node and host."""

from __future__ import annotations

from typing import Any

from .fields import Fields

# More streams at once help no transfer.
MOST_STREAMS = 1024


def spool_entry(value: Any, what: str) -> dict[str, Any]:
    """docs/contracts/spool.schema.json, each field checked. Malformed where one is wrong.

    `source` is what the storage node's ssh is called with; storage/rsync.py checks its words.
    """
    fields = Fields(value, what)
    fields.version()
    fields.only(
        *("schema_version", "run_id", "host", "source", "host_root", "request", "request_sha256"),
        *("controller", "opened_at", "image", "streams", "makers"),
    )
    fields.run_id("run_id")
    fields.part("host")
    if not fields.is_null("source"):
        fields.free("source")
    fields.absolute("host_root")
    fields.free("request")
    fields.sha256("request_sha256")
    fields.line("controller", 4096)
    fields.time("opened_at")
    _check_image(fields.object("image"))
    fields.integer("streams", 1, MOST_STREAMS)
    # Entries of earlier releases have none.
    if "makers" in fields.values:
        fields.parts("makers")
    return fields.values


def collect(value: Any, what: str) -> dict[str, Any]:
    """docs/contracts/collect.schema.json, each field checked. Malformed where one is wrong."""
    fields = Fields(value, what)
    fields.version()
    fields.only("schema_version", "catalogue", "request", "image")
    fields.free("catalogue")
    fields.free("request")
    _check_image(fields.object("image"))
    return fields.values


def _check_image(fields: Fields) -> None:
    fields.only("name", "id")
    fields.line("name", 4096)
    fields.line("id", 4096)

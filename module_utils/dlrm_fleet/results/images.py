"""Which hosts of one architecture ran different images of one name: each had built its own."""

from __future__ import annotations

from typing import Any

from ..base.lenient import as_dict
from ..wire.strict_json import shown


def images_note(results: list[dict[str, Any]]) -> list[str]:
    """A sentence for each image and architecture of which there is more than one digest.

    `results`: {host, run} each, `run` as run.json. That images differ is said and not refused.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for result in sorted(results, key=lambda one: str(one.get("host"))):
        run = as_dict(result.get("run"))
        image, machine = as_dict(run.get("image")), as_dict(run.get("host"))
        name, digest = image.get("name"), image.get("id")
        if not (isinstance(name, str) and isinstance(digest, str) and name and digest):
            continue
        images = found.setdefault((name, str(machine.get("architecture"))), {})
        images.setdefault(digest, []).append(str(result.get("host")))
    return [
        f"The image {_plain(name)} has {len(images)} digests on {_plain(architecture)}: "
        + "; ".join(
            f"{_plain(digest)[:19]} on {', '.join(map(_plain, hosts))}"
            for digest, hosts in images.items()
        )
        + ". These hosts built it for themselves."
        for (name, architecture), images in sorted(found.items())
        if len(images) > 1
    ]


def _plain(text: str) -> str:
    """As a terminal may show it."""
    return shown(text)[1:-1]

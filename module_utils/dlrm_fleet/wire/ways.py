"""One way that was tried: what a host, the storage node or the controller says of it.

A way is a connection or a right that a run is going to need, from one machine to another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .fields import Fields

OK, SKIPPED, NOTE, FAILED = "ok", "skipped", "note", "failed"
# The worst last. Only a failed way prevents a run.
STATES = (OK, SKIPPED, NOTE, FAILED)
MOST_WAYS = 10_000
LONGEST = 1000


@dataclass(frozen=True)
class Way:
    """`why`: the reason of the state; `todo`: what to do about it."""

    what: str
    start: str
    end: str
    state: str = OK
    why: str = ""
    todo: str = ""

    def document(self) -> dict[str, Any]:
        return {name: shortened(value) for name, value in asdict(self).items()}


def shortened(text: str) -> str:
    """As read_ways() takes it: one line of printable characters."""
    line = " ".join(text.split())
    line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def read_ways(fields: Fields, name: str = "ways") -> list[Way]:
    """Malformed unless every way has its six fields, each one short line."""
    return [_way(one) for one in fields.objects(name, MOST_WAYS)]


def _way(fields: Fields) -> Way:
    fields.only("what", "start", "end", "state", "why", "todo")
    what, start, end = (fields.line(name, LONGEST) for name in ("what", "start", "end"))
    why, todo = (fields.line(name, LONGEST) for name in ("why", "todo"))
    return Way(what, start, end, fields.choice("state", STATES), why, todo)

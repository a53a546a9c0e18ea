"""exit.json of an attempt: why it ended. It lies where the container can write, so it is a type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import Fields

LONGEST_MESSAGE = 128 * 1024
LOG_LINES = 1000


@dataclass(frozen=True)
class Ended:
    """`cause` is empty if the attempt left a result; `exit_code` None if no container told it."""

    exit_code: int | None
    oom_killed: bool
    cause: str
    message: str
    log_tail: tuple[str, ...]
    reaped_at: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "exit_code": self.exit_code,
            "oom_killed": self.oom_killed,
            "cause": self.cause,
            "message": self.message,
            "log_tail": list(self.log_tail),
            "reaped_at": self.reaped_at,
        }


def read_ended(value: Any, what: str) -> Ended:
    """Malformed where a field is missing or wrong."""
    fields = Fields(value, what)
    fields.version()
    code = fields.values.get("exit_code")
    lines = fields.values.get("log_tail", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise fields.bad("log_tail", "a list of texts")
    return Ended(
        None if code is None else fields.integer("exit_code", -(2**31), 2**31),
        fields.boolean("oom_killed"),
        fields.line("cause"),
        fields.text("message", LONGEST_MESSAGE),
        tuple(lines[-LOG_LINES:]),
        fields.time("reaped_at"),
    )

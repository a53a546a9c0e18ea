"""Why a container ended: a cause and a sentence. Pure."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field

from ..base.errors import FleetError

LOG_TAIL_LINES = 20
LOG_TAIL_WIDTH = 200
# Exit codes of timeout(1): 124 after SIGTERM, 137 when it had to send SIGKILL.
DEADLINE_CODE = 124
KILLED_CODE = 137
# The engine gives this code to containers that ended while the engine was down.
ENGINE_LOST_CODE = 255
# The container's own message decides where its exit code cannot.
SAID_CAUSES = (
    (
        "out of memory",
        ("ran out of memory", "can't allocate memory", "cannot allocate memory", "memoryerror"),
    ),
    ("no space", ("no space left", "disk is full", "errno 28", "disk quota exceeded")),
    ("signal 15", ("it got sigterm",)),
)
SAID_KILLED = ("sigkill", "signal 9", "oom killer")
SIGNAL_HINTS = {
    4: ("it met an instruction this CPU does not have", "Use an image built for this CPU"),
    7: ("a file it had mapped lacked memory or disk", "Free space in /dev/shm and on the disk"),
    9: ("a person killed it, or the container engine did while shutting down", "Run again"),
    11: ("it crashed", "Run again; if it crashes again, report it with the log"),
    15: ("a person stopped it, or the container engine did while shutting down", "Run again"),
}


@dataclass(frozen=True)
class End:
    """What is known about a container that left no result; `said`: its last message, or empty."""

    exit_code: int
    oom_killed: bool = False
    at_deadline: bool = False
    rebooted: bool = False
    # Processes the kernel killed for lack of memory, on the whole host since it started.
    kernel_kills: int = 0
    said: str = ""
    # Why stage.json does not count although it is there.
    damage: str = ""
    log_tail: list[str] = field(default_factory=list)


def exit_cause(stage: str, end: End) -> tuple[str, str]:
    """(cause in a word or two, sentence)."""
    code = f"exit code {end.exit_code}"
    if end.oom_killed:
        return _out_of_memory(stage, f"the kernel killed a process of its container ({code})")
    if end.exit_code == DEADLINE_CODE or (end.exit_code == KILLED_CODE and end.at_deadline):
        return "deadline", str(
            FleetError(
                f"stage {stage} did not end before the deadline",
                f"it was stopped ({code})",
                "Run again with a longer deadline, for example -e deadline=2h",
            )
        )
    if end.said:
        return _said(stage, end)
    number = end.exit_code - 128 if 128 < end.exit_code < 128 + signal.NSIG else 0
    if end.rebooted and (number or end.exit_code == ENGINE_LOST_CODE):
        return _rebooted(stage, code)
    if end.exit_code == ENGINE_LOST_CODE:
        return "engine gone", engine_gone(
            stage, f"the container engine stopped while the stage ran ({code})"
        )
    if number == signal.SIGKILL and end.kernel_kills > 0:
        why = f"the kernel killed {_processes(end.kernel_kills)} on this host meanwhile ({code})"
        return _out_of_memory(stage, why)
    if number:
        why, todo = SIGNAL_HINTS.get(number, ("somebody or the kernel sent it", "Run again"))
        what = f"stage {stage} was ended by signal {number} ({signal_name(number)})"
        return f"signal {number}", str(FleetError(what, why, todo))
    if end.exit_code == 0:
        why = f"it reported success ({code}), but {end.damage or 'there is no stage.json'}"
        what = f"stage {stage} ended without a result"
        return "no manifest", str(FleetError(what, why, "Run again"))
    last = end.log_tail[-1] if end.log_tail else ""
    why = f"its last line was {last!r}" if last else "it wrote no message"
    message = str(FleetError(f"stage {stage} failed with {code}", why, "Look at its log"))
    return _cause_of("\n".join(end.log_tail)), message


def _said(stage: str, end: End) -> tuple[str, str]:
    cause = _cause_of(end.said)
    if end.rebooted and cause == "signal 15":
        return _rebooted(stage, end.said)
    killed = any(phrase in end.said.lower() for phrase in SAID_KILLED)
    if cause == "exception" and killed and end.kernel_kills > 0:
        return "out of memory", end.said
    return cause, end.said


def _cause_of(text: str) -> str:
    for cause, phrases in SAID_CAUSES:
        if any(phrase in text.lower() for phrase in phrases):
            return cause
    return "exception"


def _out_of_memory(stage: str, why: str) -> tuple[str, str]:
    todo = "Free memory on the host, or use a host with more"
    return "out of memory", str(FleetError(f"stage {stage} ran out of memory", why, todo))


def _rebooted(stage: str, why: str) -> tuple[str, str]:
    what = f"the host was rebooted while stage {stage} ran"
    return "host rebooted", str(FleetError(what, why, "Run again: finished stages are kept"))


def engine_gone(stage: str, why: str) -> str:
    return str(FleetError(f"the container of stage {stage} is gone", why, "Run again"))


def _processes(count: int) -> str:
    return f"{count} process{'' if count == 1 else 'es'} for lack of memory"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unnamed"


def said_in_log(tail: list[str]) -> str:
    """dlrm-bench's message in its log, or empty: needed if status.json could not be written."""
    for line in reversed(tail):
        found = re.search(r"\bfailed: (.+)", line)
        if found:
            return found.group(1)
    return ""


def tail(log: bytes, paths: dict[str, str]) -> list[str]:
    """The last lines, safe to show in a terminal, with the host's paths."""
    lines = log.decode(errors="replace").rstrip().splitlines()[-LOG_TAIL_LINES:]
    return [_shown(on_host(line, paths)) for line in lines]


def _shown(line: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in line).rstrip()
    return plain if len(plain) <= LOG_TAIL_WIDTH else plain[: LOG_TAIL_WIDTH - 3] + "..."


def on_host(text: str, paths: dict[str, str]) -> str:
    """The text with the host's paths. `paths`: container path -> host path."""
    for inside in sorted(paths, key=len, reverse=True):
        pattern = re.escape(inside) + r"(?![\w-])"
        text = re.sub(pattern, lambda _found, to=paths[inside]: to, text)  # type: ignore[misc]
    return text

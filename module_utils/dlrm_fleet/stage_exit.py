"""Why a container ended, told apart; what it left is saved before it is removed."""

from __future__ import annotations

import shutil
import signal
from datetime import datetime, timezone
from typing import Any

from .documents import FleetError, format_time, parse_time, utc_now, write_json_atomic
from .engine import Container, Engine
from .stage_folder import StageFolder, inherit_owner

# timeout(1): 124 after TERM, 137 when it had to KILL; it judges within a second.
DEADLINE_CODE = 124
KILLED_CODE = 137
# The engine writes this for containers that ended while it was not there.
ENGINE_LOST_CODE = 255
# What a container says of itself decides where its exit code cannot.
SAID_CAUSES = (
    ("out of memory", ("ran out of memory", "cannot allocate memory")),
    ("no space", ("no space left", "disk is full", "errno 28", "disk quota exceeded")),
    ("signal 15", ("it got sigterm",)),
)


def exit_cause(
    stage: str,
    exit_code: int,
    oom_killed: bool,
    at_deadline: bool,
    status: dict[str, Any] | None,
    last_line: str,
) -> tuple[str, str]:
    """(cause in a word or two, sentence) for a container that left no stage.json."""
    said = str(status["message"]) if status is not None and status["state"] == "failed" else ""
    code = f"exit code {exit_code}"
    if oom_killed:
        return "out of memory", str(
            FleetError(
                f"stage {stage} ran out of memory",
                f"the kernel killed a process of its container ({code})",
                "Free memory on the host, or take one with more",
            )
        )
    if exit_code == DEADLINE_CODE or (exit_code == KILLED_CODE and at_deadline):
        return "deadline", str(
            FleetError(
                f"stage {stage} did not end before the deadline",
                f"it was stopped ({code})",
                "Run again with a longer one, for example -e deadline=2h",
            )
        )
    if said:
        return _said_cause(said), said
    if exit_code == ENGINE_LOST_CODE:
        return "engine gone", _engine_gone(stage, f"it stopped while the stage ran ({code})")
    if 128 < exit_code < 128 + signal.NSIG:
        number = exit_code - 128
        return f"signal {number}", str(
            FleetError(
                f"stage {stage} was ended by signal {number} ({_signal_name(number)})",
                "somebody stopped its container, or the kernel did for lack of memory",
                "Look at the host's kernel log, then run again",
            )
        )
    if exit_code == 0:
        return "no manifest", f"stage {stage} ended without stage.json although its {code} is good."
    return "exception", str(
        FleetError(
            f"stage {stage} failed with {code}",
            f"its last line was {last_line!r}" if last_line else "it wrote no message",
            "See log_tail",
        )
    )


def _said_cause(said: str) -> str:
    for cause, phrases in SAID_CAUSES:
        if any(phrase in said.lower() for phrase in phrases):
            return cause
    return "exception"


def reap(folder: StageFolder, engine: Engine, container: Container) -> None:
    """Save log.txt and exit.json of an ended container, then remove it."""
    attempt = container.attempt
    path = folder.attempt_path(attempt)
    if path.is_dir() and not (path / "exit.json").exists():
        log = engine.log(container)
        (path / "log.txt").write_bytes(log)
        lines = log.decode(errors="replace").splitlines()
        status = folder.attempt_document(attempt, "status.json")
        asked = folder.attempt_document(attempt, "request.json")
        cause, message = "", ""
        if not folder.manifest.exists():
            cause, message = exit_cause(
                folder.stage,
                container.exit_code,
                container.oom_killed,
                asked is not None and _ended_at(container) >= parse_time(asked["deadline"]),
                status,
                lines[-1] if lines else container.error,
            )
        record_exit(folder, attempt, container.exit_code, container.oom_killed, cause, message)
        inherit_owner(path / "log.txt")
    shutil.rmtree(path / "scratch", ignore_errors=True)
    engine.remove(container)


def record_engine_gone(folder: StageFolder, attempt: int) -> None:
    """For an attempt that has neither a container nor an exit.json."""
    message = _engine_gone(folder.stage, "it was removed, or the engine lost it")
    record_exit(folder, attempt, None, False, "engine gone", message)


def _engine_gone(stage: str, why: str) -> str:
    return str(FleetError(f"the container of stage {stage} is gone", why, "Run again"))


def record_exit(
    folder: StageFolder,
    attempt: int,
    exit_code: int | None,
    oom_killed: bool,
    cause: str,
    message: str,
) -> None:
    """exit.json: why an attempt ended; an empty cause: with a result."""
    path = folder.attempt_path(attempt) / "exit.json"
    write_json_atomic(
        path,
        {
            "schema_version": 1,
            "exit_code": exit_code,
            "oom_killed": oom_killed,
            "cause": cause,
            "message": message,
            "reaped_at": format_time(utc_now()),
        },
    )
    inherit_owner(path)


def _ended_at(container: Container) -> datetime:
    """The engine's times have nanoseconds; the second is enough, rounded up."""
    text = container.finished_at.split(".")[0].rstrip("Z")
    try:
        ended = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return utc_now()
    return ended.replace(tzinfo=timezone.utc)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unnamed"

"""Saves why a container ended and its log, then removes the container."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timezone

from ..base.documents import write_atomic, write_json_atomic
from ..base.errors import FleetError
from ..base.owner import inherit_owner
from ..base.times import format_time, utc_now
from ..container.engine import LABEL, Container, Engine
from ..host.kernel import boot, oom_kills
from ..support.redact import redact
from ..wire.exit_document import LONGEST_MESSAGE, Ended
from . import secrets
from .exit_cause import End, engine_gone, exit_cause, on_host, said_in_log, tail
from .folder import StageFolder


class NotSaved(FleetError):
    """Log and exit.json could not be written; the container stays. `ended`: exit.json's content."""

    def __init__(self, folder: StageFolder, attempt: int, why: str, ended: Ended) -> None:
        super().__init__(
            f"cannot save the log of attempt {attempt} of stage {folder.stage}",
            why,
            "Free space below the host's root, then run again; the container is kept until then",
        )
        self.ended = ended


def reap(folder: StageFolder, engine: Engine, container: Container) -> None:
    """Save log.txt and exit.json of an ended container, then remove it."""
    attempt = container.attempt
    path = folder.attempt_path(attempt)
    if path.is_dir() and folder.ended(attempt) is None:
        hidden = secrets.hidden(folder, attempt)
        log = engine.log(container)
        ended = _judged(folder, container, log)
        if hidden:
            # Should the container have written its secret.
            log = redact(log.decode(errors="replace"), hidden).encode()
            tail_lines = tuple(redact(line, hidden) for line in ended.log_tail)
            ended = replace(ended, message=redact(ended.message, hidden), log_tail=tail_lines)
        try:
            write_atomic(path / "log.txt", log)
            inherit_owner(path / "log.txt")
            _write(folder, attempt, ended)
        except FleetError as error:
            raise NotSaved(folder, attempt, error.why, ended) from None
    scratch = path / "scratch"
    # rmtree() would wait for the other end of a pipe.
    if scratch.is_dir() and not scratch.is_symlink():
        shutil.rmtree(scratch, ignore_errors=True)
    secrets.withdraw(folder, attempt)
    engine.remove(container)


def _judged(folder: StageFolder, container: Container, log: bytes) -> Ended:
    lines = tail(log, container.paths)
    document, damage = folder.examine()
    cause, message = "", ""
    if document is None:
        status = folder.status(container.attempt)
        said = status.message if status is not None and status.state == "failed" else ""
        end = End(
            exit_code=container.exit_code,
            oom_killed=container.oom_killed,
            at_deadline=_at_deadline(folder, container),
            rebooted=container.labels.get(f"{LABEL}.boot", boot()) != boot(),
            kernel_kills=oom_kills() - int(container.labels.get(f"{LABEL}.oom_kills", oom_kills())),
            said=on_host(said or said_in_log(lines), container.paths),
            damage=damage,
            log_tail=lines or ([container.error] if container.error else []),
        )
        cause, message = exit_cause(folder.stage, end)
    return _ended(container.exit_code, container.oom_killed, cause, message, lines)


def record_engine_gone(folder: StageFolder, attempt: int) -> None:
    """For an attempt that has neither a container nor an exit.json."""
    message = engine_gone(folder.stage, "somebody removed it, or the container engine lost it")
    _write(folder, attempt, _ended(None, False, "engine gone", message, []))


def record_not_started(folder: StageFolder, attempt: int, message: str) -> None:
    _write(folder, attempt, _ended(None, False, "not started", message, []))


def _ended(
    exit_code: int | None, oom_killed: bool, cause: str, message: str, log_tail: list[str]
) -> Ended:
    """exit.json: why an attempt ended; the cause is empty when it left a result."""
    now = format_time(utc_now())
    return Ended(exit_code, oom_killed, cause, message[:LONGEST_MESSAGE], tuple(log_tail), now)


def _write(folder: StageFolder, attempt: int, ended: Ended) -> None:
    path = folder.attempt_path(attempt) / "exit.json"
    write_json_atomic(path, ended.as_dict())
    secrets.withdraw(folder, attempt)
    inherit_owner(path)


def _at_deadline(folder: StageFolder, container: Container) -> bool:
    times = folder.times(container.attempt)
    return times is not None and _ended_at(container) >= times[1]


def _ended_at(container: Container) -> datetime:
    """By the engine's clock, without the fraction of a second; now when it cannot be read."""
    text = container.finished_at.split(".")[0].rstrip("Z")
    try:
        ended = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return utc_now()
    return ended.replace(tzinfo=timezone.utc)

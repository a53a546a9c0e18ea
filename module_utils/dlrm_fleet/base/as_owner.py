"""Work as the owner of a folder. What is started then, ssh and rsync, is that user's as well."""

from __future__ import annotations

import json
import os
import pwd
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import FleetError

# Of a module's answer.
MOST_BYTES = 64 * 1024**2


def become(uid: int, gid: int) -> None:
    """For good. An unknown uid has no groups beside `gid`."""
    try:
        entry = pwd.getpwuid(uid)
        os.initgroups(entry.pw_name, entry.pw_gid)
        gid = entry.pw_gid
    except KeyError:
        os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)


def become_owner(folder: Path) -> None:
    """For good, if this process is root's and the folder is not."""
    uid, gid = _owner(folder)
    if os.geteuid() == 0 and uid != 0:
        become(uid, gid)


def by_owner(
    option: str, run: Callable[[dict[str, Any], bool], dict[str, Any]]
) -> Callable[[dict[str, Any], bool], dict[str, Any]]:
    """A module's `run`, done as the owner of the folder that this option names."""
    return lambda params, check: as_owner(Path(params[option]), lambda: run(params, check))


def as_owner(folder: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns (JSON), done as the folder's owner if this process is root's.

    `work` then runs in a process of its own. Raises FleetError as it does.
    """
    return as_user(*_owner(folder), work)


def as_user(uid: int, gid: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """As as_owner(), for this user."""
    if os.geteuid() != 0 or uid == 0:
        return work()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            become(uid, gid)
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                json.dump(_outcome(work), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read(MOST_BYTES + 1)
    os.waitpid(pid, 0)
    return _read(said)


def _owner(folder: Path) -> tuple[int, int]:
    """uid and gid. Root's where the folder is not there yet."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_uid, found.st_gid


def _outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"value": work()}
    except FleetError as error:
        return {"refused": [error.what, error.why, error.todo]}
    except OSError as error:
        return {"refused": [str(error)]}
    except Exception:
        return {"broken": traceback.format_exc()}


def _read(said: bytes) -> dict[str, Any]:
    """The process was another user's: what it says is bounded, and its shape is checked."""
    if not said:
        raise RuntimeError("its process said nothing")
    if len(said) > MOST_BYTES:
        raise RuntimeError(f"its process said more than {MOST_BYTES} bytes")
    try:
        outcome: Any = json.loads(said)
    except (ValueError, RecursionError):
        raise RuntimeError("its process said no JSON") from None
    if isinstance(outcome, dict) and len(outcome) == 1:
        value, refused = outcome.get("value"), outcome.get("refused")
        if isinstance(value, dict):
            return value
        if isinstance(refused, list) and refused:
            raise FleetError(*map(str, refused[:3]))
        if isinstance(outcome.get("broken"), str):
            raise RuntimeError(outcome["broken"])
    raise RuntimeError("its process said something else than an outcome")

"""What software a host has: programs, a container engine that answers, a Python environment.

It only looks, at files and at the engine's socket: one call instead of a task for each question.
"""

from __future__ import annotations

import http.client
import json
import pwd
import re
from pathlib import Path
from typing import Any

from ..base.engine_socket import EngineSocket

PROGRAM_FOLDERS = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
ENGINE_SECONDS = 10
# A line of a lock file: name==version, perhaps a marker. Hashes stand on lines of their own.
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+))?")


def engine(path: str) -> dict[str, Any]:
    """Whether the container engine at socket `path` answers, and what its API's /info says.

    Returns answers (bool), version (str or None) and live_restore (bool); never raises.
    """
    found: dict[str, Any] = {"answers": False, "version": None, "live_restore": False}
    try:
        info = _ask(path, "/info")
        found.update(answers=True, live_restore=bool(info.get("LiveRestoreEnabled")))
        found["version"] = info.get("ServerVersion") or None
    except (OSError, http.client.HTTPException, ValueError):
        pass
    return found


def engine_architecture(path: str) -> str | None:
    """What the kernel below the engine's containers calls its architecture; None: no answer."""
    try:
        found = _ask(path, "/info").get("Architecture")
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return found if isinstance(found, str) else None


def _ask(path: str, what: str) -> dict[str, Any]:
    connection = EngineSocket(path, ENGINE_SECONDS)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError(answer.status)
        document = json.loads(answer.read())
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise ValueError(what)
    return document


def programs(root: Path, names: list[str]) -> list[str]:
    """Those of `names` that lie in a folder of programs below `root`, sorted."""
    return sorted(
        name
        for name in set(names)
        if any((root / folder / name).exists() for folder in PROGRAM_FOLDERS)
    )


def user_ids(name: str) -> str | None:
    """'uid:gid' of the user `name`; None when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return f"{entry.pw_uid}:{entry.pw_gid}"


def missing_packages(environment: Path, locked: str) -> list[str]:
    """Names of the packages that `environment` lacks of those in the lock file's text `locked`.

    A name may have several lines, one for each Python version: any of their versions counts, since
    pip picks the right one when it installs. Lines for Windows are ignored.
    """
    wanted: dict[str, set[str]] = {}
    for line in locked.splitlines():
        match = LOCKED.match(line)
        if match and "win32" not in (match[3] or ""):
            wanted.setdefault(_normal(match[1]), set()).add(match[2])
    installed = {
        (_normal(name), version)
        for folder in environment.glob("lib/python3*/site-packages/*.dist-info")
        if (folder / "RECORD").is_file()
        for name, _, version in [folder.name[: -len(".dist-info")].rpartition("-")]
    }
    if not (environment / "bin/python").exists():
        installed = set()
    return sorted(
        name
        for name, versions in wanted.items()
        if not any((name, version) in installed for version in versions)
    )


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()

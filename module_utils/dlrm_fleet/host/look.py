"""One look at a host: what machine it is, what it lacks, what software it has. Installs nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from . import software
from .machine import HostReader, find_problems, read_host

# The options of a module that looks.
ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "needs": {
        "type": "dict",
        "options": {
            "memory_gib": {"type": "float"},
            "disk_gib": {"type": "float"},
            "shm_gib": {"type": "float"},
            "instruction_sets": {"type": "list", "elements": "str", "default": []},
        },
    },
    "software": {
        "type": "dict",
        "options": {
            "programs": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "path"},
            "requirements": {"type": "str", "default": ""},
            "user": {"type": "str"},
        },
    },
    "engine_socket": {"type": "path", "default": "/var/run/docker.sock"},
}


def look(params: dict[str, Any]) -> dict[str, Any]:
    """{host, problems, engine, software}; `params` as ARGUMENTS describes them."""
    reader = HostReader(Path("/"), os.uname().machine)
    host = read_host(reader, params["name"], socket.gethostname(), params["root"])
    engine = software.engine(params["engine_socket"])
    host["engine_version"] = engine["version"]
    # What the stages hold already, or an interrupted restore left, need not be free again.
    free = host["disk"]["free_gib"]
    if free is not None:
        held = sum(stages_gib(Path(params["root"]) / name) for name in ("stages", "incoming"))
        host["disk"]["free_gib"] = round(free + held, 2)
    problems = find_problems(host, params["needs"] or {})
    # These change all the time: the document says what the machine is, and is equal in each run.
    del host["memory"]["available_gib"], host["disk"]["free_gib"]
    found = find_software(params["software"] or {})
    return {"host": host, "problems": problems, "engine": engine, "software": found}


def find_software(wanted: dict[str, Any]) -> dict[str, Any]:
    environment, user = wanted.get("environment"), wanted.get("user")
    locked = wanted.get("requirements") or ""
    return {
        "programs": software.programs(Path("/"), wanted.get("programs") or []),
        "systemd": Path("/run/systemd/system").is_dir(),
        "missing_packages": software.missing_packages(Path(environment), locked)
        if environment
        else [],
        "user": software.user_ids(user) if user else None,
    }


def stages_gib(folder: Path) -> float:
    """What the files below `folder` take on disk; a running stage may rename some meanwhile."""
    blocks = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            blocks += path.lstat().st_blocks
    return blocks * 512 / 2**30

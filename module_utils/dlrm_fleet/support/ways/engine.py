"""Whether a host's container engine sees its root folder, and reaches the registry of a base."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...base.as_owner import as_user
from ...base.engine_socket import EngineSocket
from ...base.errors import FleetError
from ...wire.fields import Fields
from ...wire.strict_json import Limits, parse
from .trying import SLOW, Hint, Skip

# One request; less than a way may take in all.
SECONDS = 4.0
LIMITS = Limits(size=4 * 1024**2)
LABEL = "dlrm-fleet.way"
TOKEN_BYTES = 64
ELSEWHERE = (
    "It runs in a mount namespace or a machine of its own (a snap, Docker Desktop, DOCKER_HOST)."
    " Install the distribution's engine, or set dlrm_host_root to a folder that it sees"
)


class Asked:
    """The engine's API at a socket. Raises FleetError with the engine's own words."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, method: str, what: str, body: Any = None) -> Any:
        connection = EngineSocket(self.path, SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, what, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read(LIMITS.size + 1)
        except (TimeoutError, socket.timeout):
            raise Hint("the engine", f"no answer within {SECONDS:g} s", SLOW) from None
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise FleetError("the engine", f"it does not answer ({why})") from None
        finally:
            connection.close()
        document = parse(content, "the engine", LIMITS) if content.strip() else {}
        if answer.status >= 400:
            said = document.get("message") if isinstance(document, dict) else None
            raise FleetError("the engine", f"it answers: {said or answer.reason}")
        return document


def tags(ask: Asked) -> list[str]:
    """The names of all images."""
    found = ask("GET", "/images/json")
    if not isinstance(found, list):
        raise FleetError("the engine", "its list of images is no list")
    named = [one.get("RepoTags") or [] for one in found if isinstance(one, dict)]
    return [tag for names in named for tag in names if isinstance(tag, str)]


def sees_root(ask: Asked, root: Path, image: str) -> str:
    """A container writes a token below `root`, and this process reads it there."""
    if not root.is_dir():
        raise Skip(f"{root} is not there yet: a run makes it")
    owner = root.stat()
    uid, gid = owner.st_uid, owner.st_gid
    if uid == 0:
        raise Skip(f"{root} belongs to root: a run gives it to the containers' user")
    token, path = secrets.token_hex(TOKEN_BYTES // 2), root / f".way-{secrets.token_hex(8)}"
    try:
        _run(ask, image, root, f"{uid}:{gid}", f"printf %s {token} >/dlrm/{path.name}")
    finally:
        # The folder is the user's: a link that stands there now leads no further than they may go.
        said = as_user(uid, gid, lambda: {"said": _taken(path)})["said"]
    if said != token:
        why = f"a container wrote a file into {root}, which is not in the host's {root}"
        raise FleetError("the engine", why, ELSEWHERE)
    return "a file that a container wrote there is on the host"


def _run(ask: Asked, image: str, root: Path, user: str, script: str) -> None:
    spec = {
        "Image": image,
        "Entrypoint": ["/bin/sh", "-c", script],
        "Cmd": [],
        "User": user,
        "Labels": {LABEL: str(root)},
        "NetworkDisabled": True,
        "HostConfig": {
            "Mounts": [{"Type": "bind", "Source": str(root), "Target": "/dlrm"}],
            "CapDrop": ["ALL"],
            "NetworkMode": "none",
        },
    }
    try:
        made = Fields(ask("POST", "/containers/create", spec), "the engine").line("Id")
        place = f"/containers/{quote(made, safe='')}"
        try:
            ask("POST", f"{place}/start")
            ended = Fields(ask("POST", f"{place}/wait"), "the engine")
            code = ended.integer("StatusCode", 0, 255)
        finally:
            with suppress(FleetError):
                ask("DELETE", f"{place}?force=1")
    except Hint:
        raise
    except FleetError as error:
        elsewhere = "does not exist" in error.why or "not shared" in error.why
        todo = ELSEWHERE if elsewhere else "Look into the engine's log: journalctl -u docker"
        raise FleetError("the engine", error.why, todo) from None
    if code != 0:
        why = f"a container of user {user} cannot write into {root} (exit code {code})"
        raise FleetError("the engine", why, f"Let that user write there, or look at {ELSEWHERE}")


def _taken(path: Path) -> str:
    """What is in the file, which is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with suppress(OSError):
        path.unlink()
    with os.fdopen(descriptor, "rb") as handle:
        return handle.read(TOKEN_BYTES + 1).decode(errors="replace")


def reaches_registry(ask: Asked, base: str) -> str:
    """The engine itself asks, with its own proxy, mirrors and certificates."""
    try:
        ask("GET", f"/distribution/{quote(base, safe='/:@')}/json")
    except Hint:
        raise
    except FleetError as error:
        todo = (
            "Give the engine a proxy or a mirror (/etc/docker/daemon.json), set dlrm_image_base to"
            " a registry that it reaches, or bring the base along (tools/base_archive.sh)"
        )
        raise FleetError("the registry", error.why, todo) from None
    return "it has the base image"

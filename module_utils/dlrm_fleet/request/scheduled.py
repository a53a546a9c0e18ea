"""The request of a schedule: its variables in one file, the secrets of its sources in others."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.documents import write_atomic
from ..base.errors import FleetError
from ..support.redact import redact
from ..wire.source_parts import part_source, part_url
from ..wire.strict_json import read
from .secret_files import PRIVATE_MODE, SECRET_FILES, how_to_give
from .values import from_json

VARIABLES = "extra_vars.json"
# Root writes it, and the user's group reads it.
VARIABLES_MODE = 0o640
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"']+")


@dataclass(frozen=True)
class Scheduled:
    """What the files are to hold. `moved`: sources whose secret gets a file of its own now."""

    variables: dict[str, Any]
    secrets: dict[Path, str] = field(default_factory=dict, repr=False)
    moved: list[str] = field(default_factory=list)


def plan(given: dict[str, Any], stored: dict[str, Any], folder: Path) -> Scheduled:
    """`given`: the schedule's variables; `stored`: those that it has now, empty for a new one.

    A schedule that holds a secret today keeps it, in a file in `folder`. FleetError for any other
    secret.
    """
    planned = Scheduled(dict(given))
    for source, variable in SECRET_FILES.items():
        _plan_source(source, variable, planned, stored, folder)
    return planned


def _plan_source(
    source: str, variable: str, planned: Scheduled, stored: dict[str, Any], folder: Path
) -> None:
    variables = planned.variables
    own = folder / f"{source.split('_')[0]}.secret"
    now = part_source(from_json(variables.get(source)))
    before = part_source(from_json(stored.get(source)))
    if now.lines and not before.lines:
        todo = f"Instead, {how_to_give(source)}"
        if stored.get(variable) == str(own):
            todo = f"The schedule keeps it in {str(own)!r}: change it there. {todo}"
        what = f"dlrm_schedule_extra_vars: {source} holds {now.found}"
        raise FleetError(what, "sources are recorded", todo)
    if variables.get(variable):
        if now.lines:
            what = f"dlrm_schedule_extra_vars: {source} holds {now.found}"
            raise FleetError(what, f"{variable} is given as well", "Give the secret once")
        return
    # As the schedule was given before, or already with the plain source that the refusal asks for.
    if now.lines or (before.lines and before.plain == now.plain):
        lines = now.lines or before.lines
        variables[source], variables[variable] = now.plain, str(own)
        planned.secrets[own] = "".join(f"{line}\n" for line in lines)
        planned.moved.append(source)
    elif stored.get(variable) == str(own) and from_json(stored.get(source)) == now.plain:
        variables[variable] = str(own)


def refuse_command(command: list[str]) -> None:
    """FleetError when an argument holds a secret: everybody on the machine could read it."""
    for number, argument in enumerate(command, 1):
        for address in _ADDRESS.findall(argument):
            found = part_url(address).found
            if found:
                raise FleetError(
                    f"dlrm_schedule_command: argument {number} holds {found}",
                    "every user of the machine could read it in the schedule's script",
                    "Let the command read it from a file of mode 0600",
                )


def stored_variables(folder: Path) -> dict[str, Any]:
    """What the schedule has now; empty when there is none or when it cannot be read."""
    try:
        found = read(folder / VARIABLES)
    except (OSError, FleetError):
        return {}
    return found if isinstance(found, dict) else {}


def apply(planned: Scheduled, folder: Path, uid: int, gid: int, check: bool) -> dict[str, Any]:
    """Write what differs: {changed, moved, diff}. The secrets first, so that none is lost."""
    before = stored_variables(folder)
    changed = False
    for path, text in planned.secrets.items():
        changed = True
        if not check:
            write_atomic(path, text.encode(), PRIVATE_MODE, (uid, gid))
    path = folder / VARIABLES
    if before != planned.variables or not _is_as_wanted(path, gid):
        changed = True
        if not check:
            content = _shown(planned.variables).encode()
            write_atomic(path, content, VARIABLES_MODE, (os.geteuid(), gid))
    return {
        "changed": changed,
        "moved": planned.moved,
        "diff": {
            "before": redact(_shown(before)) if before else "",
            "after": redact(_shown(planned.variables)),
        },
    }


def _is_as_wanted(path: Path, gid: int) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    wanted = (os.geteuid(), gid, VARIABLES_MODE)
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == wanted


def _shown(variables: dict[str, Any]) -> str:
    return json.dumps(variables, indent=4, sort_keys=True) + "\n"

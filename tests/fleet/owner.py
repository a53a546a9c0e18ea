"""Labels that say which session owns a container, network or volume, also after a kill."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .engine import REPOSITORY, docker
from .freezer import thaw

LABEL = "dlrm-fleet.test-fleet"
KINDS = ("container", "network", "volume")


def checkout() -> str:
    """Names this work tree: two may run at once on a machine."""
    return hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:6]


def _started(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text[text.rindex(")") + 2 :].split()[19]


def session() -> str:
    """This process, distinct from a later one with the same pid."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def labels(name: str) -> list[str]:
    """--label arguments of everything fleet `name` of this session makes."""
    values = {LABEL: name, f"{LABEL}.checkout": checkout(), f"{LABEL}.session": session()}
    return [part for key, value in values.items() for part in ("--label", f"{key}={value}")]


def _listed(kind: str, *wanted: str) -> list[str]:
    filters = [part for label in wanted for part in ("--filter", f"label={label}")]
    every = ["--all"] if kind == "container" else []
    return docker(kind, "ls", *every, "--quiet", *filters).split()


def _label(kind: str, identity: str, name: str) -> str:
    root = ".Config.Labels" if kind == "container" else ".Labels"
    form = f'{{{{index {root} "{name}"}}}}'
    return docker(kind, "inspect", "--format", form, identity, check=False).strip()


def remove(name: str, of_session: str | None = None) -> None:
    """Everything of fleet `name` of a session (by default this one); containers first."""
    wanted = [f"{LABEL}={name}", f"{LABEL}.session={of_session or session()}"]
    for kind in KINDS:
        found = _listed(kind, *wanted)
        if kind == "container":
            for identity in found:
                thaw(identity)
        if found:
            force = ["--force"] if kind != "network" else []
            with_volumes = ["--volumes"] if kind == "container" else []
            docker(kind, "rm", *force, *with_volumes, *found, check=False)
    left = [identity for kind in KINDS for identity in _listed(kind, *wanted)]
    assert not left, f"could not remove {left}"


def remove_stale() -> list[str]:
    """Remove what killed sessions of this work tree left; returns their names."""
    gone: set[tuple[str, str]] = set()
    for kind in KINDS:
        for identity in _listed(kind, f"{LABEL}.checkout={checkout()}"):
            owner = _label(kind, identity, f"{LABEL}.session")
            pid, _, started = owner.partition("-")
            if pid.isdigit() and _started(int(pid)) != started:
                gone.add((_label(kind, identity, LABEL), owner))
    for name, owner in sorted(gone):
        remove(name, owner)
    return sorted(f"{name} of session {owner}" for name, owner in gone)

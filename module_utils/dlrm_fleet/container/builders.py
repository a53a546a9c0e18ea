"""Which machine builds the image for the others. A measured host never does.

In this order, the first that can: machines named for it, the controller, the storage node. Can
none of them, each host builds for itself and loads no other's image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..wire.fields import Fields
from ..wire.strict_json import Malformed, shown

NAMED, CONTROLLER, STORAGE = KINDS = ("named", "controller", "storage")
ARCHITECTURE = re.compile(r"[A-Za-z0-9_]{1,32}")


@dataclass(frozen=True)
class Candidate:
    """`architecture`: of its engine; `python`: has what drives the engine; `problem`: it cannot."""

    name: str
    kind: str
    architecture: str
    python: str
    problem: str


@dataclass(frozen=True)
class Choice:
    """`builder` None: each host builds for itself. `passed_over`: why the others do not build."""

    builder: Candidate | None
    passed_over: tuple[str, ...]

    def message(self, image: str, architecture: str) -> str:
        if self.builder is not None:
            return f"{self.builder.name} builds {image} for {architecture}."
        why = "; ".join(self.passed_over) or "no machine is named for it"
        return (
            f"Each host builds {image} for itself, as no machine builds it for {architecture}: "
            f"{why}. Such images differ in their digests, and each record names its own."
        )


def choose(architecture: str, candidates: Sequence[Candidate], measured: Collection[str]) -> Choice:
    """The first candidate without an obstacle; `measured`: hosts whose image no other may load."""
    passed_over: list[str] = []
    for candidate in candidates:
        obstacle = _obstacle(candidate, architecture, measured)
        if not obstacle:
            return Choice(candidate, tuple(passed_over))
        passed_over.append(f"{candidate.name} {obstacle}")
    return Choice(None, tuple(passed_over))


def is_trusted(name: str, kind: str, measured: Collection[str]) -> bool:
    """Controller and storage node are trusted anyway; they may measure as well."""
    return kind in (CONTROLLER, STORAGE) or (kind == NAMED and name not in measured)


def _obstacle(candidate: Candidate, architecture: str, measured: Collection[str]) -> str:
    if not is_trusted(candidate.name, candidate.kind, measured):
        return "is measured"
    if candidate.problem:
        return candidate.problem
    if candidate.architecture != architecture:
        return f"has the architecture {candidate.architecture}"
    return ""


def candidate(name: str, kind: str, answer: dict[str, Any]) -> Candidate:
    """`answer`: what Ansible registered of module dlrm_image_builder_info on that machine."""
    if answer.get("unreachable"):
        return Candidate(name, kind, "", "", "does not answer")
    if "problem" not in answer:
        return Candidate(name, kind, "", "", f"fails: {shown(str(answer.get('msg')))}")
    fields = Fields(answer, "gives no answer that can be used")
    try:
        problem = fields.line("problem")
        if problem:
            return Candidate(name, kind, "", "", problem)
        architecture = fields.matching("architecture", ARCHITECTURE, "an architecture's name")
        return Candidate(name, kind, architecture, fields.absolute("python"), "")
    except Malformed as error:
        return Candidate(name, kind, "", "", f"{error.what} ({error.why})")


def kinds(named: Sequence[str], controller: str, storage: str) -> dict[str, str]:
    """Name -> kind, in the order in which they are asked; each machine once."""
    trusted = {controller: CONTROLLER, **({storage: STORAGE} if storage else {})}
    order = [*named, *trusted]
    return {name: trusted.get(name, NAMED) for name in order}

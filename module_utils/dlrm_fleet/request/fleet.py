"""One request for all hosts: what may differ by host, and what may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..base.errors import FleetError
from .request import PUBLIC, normalise
from .values import is_given, shown

# Where a host's files come from. What is measured on them is the same for all hosts.
SOURCES = ("weights_source", "data_source")
MAY_DIFFER = (*SOURCES, "weights_secret_file", "data_secret_file")
# Public name -> its field in the request, where the two differ.
FIELDS = {
    "min_duration": "min_duration_seconds",
    "run_wait": "run_wait_seconds",
    "deadline": "deadline_seconds",
}
SHOWN_HOSTS = 5


@dataclass(frozen=True)
class Given:
    """Public variables that these hosts have in common."""

    hosts: tuple[str, ...]
    variables: dict[str, Any]


def fleet_requests(
    fleet: list[Given],
    precisions: dict[str, Any],
    extra_names: Iterable[str] = (),
    known_names: Iterable[str] = (),
    near_misses: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The typed request of each entry of `fleet`, which differ in their sources at most.

    The other arguments: as of normalise(). FleetError lists every problem, with the hosts.
    """
    requests, problems = [], []
    for given in fleet:
        try:
            requests.append(
                normalise(given.variables, precisions, extra_names, known_names, near_misses)
            )
        except FleetError as error:
            problems.append((given, str(error)))
    if problems:
        raise FleetError(_problems(problems, len(fleet)))
    differing = [
        _difference(name, fleet)
        for name in PUBLIC
        if name not in MAY_DIFFER and _differs(name, fleet, requests)
    ]
    lacking = [
        _difference(name, fleet)
        for name in SOURCES
        if len({request["sources"][name] is None for request in requests}) > 1
    ]
    if differing or lacking:
        said = [*differing, *lacking]
        if differing:
            said.append("One run has one value of each: set it in group_vars/all, or with -e.")
        if lacking:
            said.append("Sources may differ by host, but each host needs one, or none has one.")
        raise FleetError("\n".join(said))
    return requests


def _problems(problems: list[tuple[Given, str]], kinds: int) -> str:
    """As one host says it, if all say the same; else with the hosts."""
    if len(problems) == kinds and len({text for _given, text in problems}) == 1:
        return problems[0][1]
    return "\n".join(f"{names(given.hosts)}: {text}" for given, text in problems)


def _differs(name: str, fleet: list[Given], requests: list[dict[str, Any]]) -> bool:
    """Whether hosts want different values; what follows from another variable does not count."""
    if not any(is_given(given.variables.get(name)) for given in fleet):
        return False
    field = FIELDS.get(name, name)
    first, *others = [one["parameters"].get(field, one.get(field)) for one in requests]
    return any(other != first for other in others)


def _difference(name: str, fleet: list[Given]) -> str:
    """`data_rows: 5000 on a, 9000 on b.`"""
    hosts_of: dict[str, list[str]] = {}
    for given in fleet:
        value = given.variables.get(name)
        text = shown(value) if is_given(value) else "not given"
        hosts_of.setdefault(text, []).extend(given.hosts)
    return f"{name}: " + ", ".join(f"{text} on {names(of)}" for text, of in hosts_of.items()) + "."


def names(hosts: Iterable[str]) -> str:
    """The first hosts by name, and how many others there are."""
    every = list(hosts)
    more = len(every) - SHOWN_HOSTS
    first = ", ".join(every[:SHOWN_HOSTS])
    return first if more <= 0 else f"{first} and {more} other{'s' if more > 1 else ''}"

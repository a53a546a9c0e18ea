"""What is missing before a run, on the controller and on hosts, and how to get it. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..wire.ways import FAILED, NOTE, OK, SKIPPED, Way
from .ways.words import CONNECTION, Tried, place, sentence

# Only "missing" prevents a run. A "note" is worth knowing, or the run itself puts it right.
STATES = ("ok", "skipped", "note", "missing")
OF_WAY = {OK: "ok", SKIPPED: "skipped", NOTE: "note", FAILED: "missing"}
# Folders of the system, as role dlrm_host refuses them.
TAKEN = re.compile(
    r"/|/(bin|boot|dev|etc|home|lib|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)/?"
)

Finding = dict[str, str]


def finding(state: str, what: str, found: str, todo: str = "") -> Finding:
    return {"state": state, "what": what, "found": found, "todo": todo}


def host_findings(tried: Tried, distributions: dict[str, str] | None = None) -> list[Finding]:
    """`distributions`: the oldest release of each distribution whose packages are known."""
    ways = way_findings(tried.ways)
    if tried.answer is None:
        return ways
    try:
        return [*_of_machine(tried.answer, distributions or {}), *ways]
    except (AttributeError, KeyError, TypeError, ValueError):
        return [finding("missing", "machine", "what it says of itself cannot be read"), *ways]


def _of_machine(seen: dict[str, Any], distributions: dict[str, str]) -> list[Finding]:
    problems = [*seen["problems"], *_system(seen, distributions)]
    found = [finding("missing", "machine", problem) for problem in problems]
    if not problems:
        found.append(finding("ok", "machine", _machine(seen["host"])))
    return [*found, _engine(seen), *_live_restore(seen)]


def way_findings(ways: list[Way]) -> list[Finding]:
    """A line each, but one line for all that are open."""
    found = [
        finding(OF_WAY[way.state], place(way), way.why, way.todo) for way in ways if way.state != OK
    ]
    open_ways = list(dict.fromkeys(way.what for way in ways if way.state == OK))
    if open_ways:
        found.insert(0, finding("ok", "ways", f"open: {', '.join(open_ways)}"))
    return found


def refusal(tried: Tried) -> dict[str, str] | None:
    """{phase, message} of a run whose way has failed; None where none has."""
    if not tried.failed:
        return None
    lost = any(way.what == CONNECTION for way in tried.failed)
    return {
        "phase": "unreachable" if lost else "prepare",
        "message": " ".join(sentence(way) for way in tried.failed),
    }


def storage_refusal(node: Tried) -> dict[str, str] | None:
    """The same for every host, if the storage node cannot take results."""
    if not node.failed:
        return None
    why = " ".join(sentence(way) for way in node.failed)
    message = (
        f"Nothing was run: the storage node {node.name} cannot take results ({why.rstrip('.')})."
        " Fix that, then give the same command again."
    )
    return {"phase": "storage", "message": message}


def _system(seen: dict[str, Any], oldest: dict[str, str]) -> list[str]:
    """What role dlrm_host refuses, too."""
    problems = []
    system, root = seen["host"]["os"], str(seen["host"]["disk"]["path"])
    known = _distribution(str(system["name"]), oldest)
    if oldest and (known is None or _release(system["version"]) < _release(oldest[known])):
        newest = ", ".join(f"{name} {release}" for name, release in sorted(oldest.items()))
        problems.append(
            f"It runs {system['name']} {system['version']}, whose packages are not known."
            f" Use one of {newest} or newer"
        )
    has_engine = seen["engine"]["answers"] or "dockerd" in seen["software"]["programs"]
    if not has_engine and not seen.get("engine_package"):
        problems.append(
            "No container engine answers, and the distribution has no package of one. Add Docker's"
            " repository to the machine, then set dlrm_host_engine_package to 'docker-ce'"
        )
    if not root.startswith("/") or TAKEN.fullmatch(root):
        problems.append(
            f"dlrm_host_root is {root!r}, a folder of the system. Use one of its own, such as"
            " /srv/dlrm"
        )
    return problems


def _distribution(name: str, oldest: dict[str, str]) -> str | None:
    """'Debian GNU/Linux' -> Debian. os-release(5) writes Red Hat in two words."""
    plain = name.replace("Red Hat", "RedHat")
    return next((one for one in oldest if plain.startswith(one)), None)


def _release(version: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", str(version)))


def _machine(host: dict[str, Any]) -> str:
    cpu, system = host["cpu"], host["os"]
    flags = ", ".join(name for name, has in sorted(cpu["flags"].items()) if has) or "no flag we use"
    quota = cpu.get("quota_cores")
    left = "" if quota is None else f", of which a CPU quota leaves {quota:g}"
    return (
        f"{system['name']} {system['version']}, {cpu['model']}, {cpu['allowed_cores']} cores{left}"
        f" ({flags}), {host['memory']['total_gib']:g} GiB"
    )


def _engine(seen: dict[str, Any]) -> Finding:
    if seen["engine"]["answers"]:
        version = seen["engine"]["version"]
        return finding("ok", "container engine", f"answers, version {version}")
    if "dockerd" in seen["software"]["programs"]:
        return finding("note", "container engine", "installed, does not answer", "A run starts it")
    return finding("note", "container engine", "none", "A run installs the distribution's")


def _live_restore(seen: dict[str, Any]) -> list[Finding]:
    if not seen["engine"]["answers"] or seen["engine"]["live_restore"]:
        return []
    todo = 'Put {"live-restore": true} into /etc/docker/daemon.json, then restart the engine'
    return [
        finding("note", "live-restore", "off: a restart of the engine ends a running stage", todo)
    ]


def is_fit(findings: list[Finding]) -> bool:
    return all(one["state"] != "missing" for one in findings)


def lines(name: str, findings: list[Finding]) -> list[str]:
    """The worst finding first, each with its remedy."""
    order = sorted(findings, key=lambda one: -STATES.index(one["state"]))
    shown = [f"{name}: {'ready' if is_fit(findings) else 'NOT ready'}"]
    for one in order:
        todo = f" {one['todo'].rstrip('.')}." if one["todo"] else ""
        shown.append(f"  {one['state']:7} {one['what']}: {one['found'].rstrip('.')}.{todo}")
    return shown

"""What is missing before a run, on the controller and on hosts, and how to get it. Pure."""

from __future__ import annotations

from typing import Any

# Only "missing" prevents a run. A "note" is worth knowing, or the run itself puts it right.
STATES = ("ok", "note", "missing")
# Locks with a lease of 90 s are hard to read when clocks are further apart than this.
CLOCK_SECONDS = 30.0

Finding = dict[str, str]


def finding(state: str, what: str, found: str, todo: str = "") -> Finding:
    return {"state": state, "what": what, "found": found, "todo": todo}


def clock_offset(sent: float, host: float, received: float) -> float:
    """Seconds the host's clock is surely ahead (+) or behind (-); all three since the epoch.

    The host read its clock between `sent` and `received` of the controller's clock.
    """
    if host < sent:
        return host - sent
    return max(host - received, 0.0)


def host_findings(seen: dict[str, Any]) -> list[Finding]:
    """seen: failure, problems, host, engine, daemon, live_restore, sent, clock, received."""
    failure = seen.get("failure")
    if failure:
        return [finding("missing", failure["phase"], failure["message"])]
    found = [
        finding("ok", "reached", "answers; Python runs; becomes root"),
        *(finding("missing", "machine", problem) for problem in seen["problems"]),
    ]
    if not seen["problems"]:
        found.append(finding("ok", "machine", _machine(seen["host"])))
    return [*found, _engine(seen), *_live_restore(seen), _clock(seen)]


def _machine(host: dict[str, Any]) -> str:
    cpu, system = host["cpu"], host["os"]
    flags = ", ".join(name for name, has in sorted(cpu["flags"].items()) if has) or "no flag we use"
    return (
        f"{system['name']} {system['version']}, {cpu['model']}, {cpu['allowed_cores']} cores"
        f" ({flags}), {host['memory']['total_gib']:g} GiB"
    )


def _engine(seen: dict[str, Any]) -> Finding:
    if seen.get("engine"):
        return finding("ok", "container engine", f"answers, version {seen['engine']}")
    if seen.get("daemon"):
        return finding("note", "container engine", "installed, does not answer", "A run starts it")
    return finding("note", "container engine", "none", "A run installs the distribution's")


def _live_restore(seen: dict[str, Any]) -> list[Finding]:
    if not seen.get("engine") or seen.get("live_restore"):
        return []
    todo = 'Put {"live-restore": true} into /etc/docker/daemon.json, then restart the engine'
    return [
        finding("note", "live-restore", "off: a restart of the engine ends a running stage", todo)
    ]


def _clock(seen: dict[str, Any]) -> Finding:
    offset = clock_offset(float(seen["sent"]), float(seen["clock"]), float(seen["received"]))
    if abs(offset) <= CLOCK_SECONDS:
        return finding("ok", "clock", "agrees with the controller's")
    side = "ahead of" if offset > 0 else "behind"
    found = f"at least {abs(offset):.0f} s {side} the controller's"
    return finding(
        "note", "clock", found, "Let the machine synchronise its time (chrony, timesyncd)"
    )


def is_fit(findings: list[Finding]) -> bool:
    return all(one["state"] != "missing" for one in findings)


def lines(name: str, findings: list[Finding]) -> list[str]:
    """The worst finding first, each with its remedy."""
    order = sorted(findings, key=lambda one: -STATES.index(one["state"]))
    shown = [f"{name}: {'ready' if is_fit(findings) else 'NOT ready'}"]
    for one in order:
        todo = f" {one['todo']}." if one["todo"] else ""
        shown.append(f"  {one['state']:7} {one['what']}: {one['found'].rstrip('.')}.{todo}")
    return shown

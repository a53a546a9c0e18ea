"""After a benchmark: which machines go, which stay at what cost, which ended early. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..base.times import format_time
from ..base.wording import usd

ALWAYS, PASSED, NEVER = "always", "passed", "never"


@dataclass(frozen=True)
class Host:
    """A host of this command.

    Attributes:
        stored: the storage node has its record, and no other run lies there that nobody stored.
        passed: that record passed.
        opened: a run may lie there that is not stored; None: unknown.
    """

    name: str
    stored: bool
    passed: bool
    opened: bool | None


def as_host(known: dict[str, Any]) -> Host:
    """`known`: host; run_id of this command; runs of dlrm_run_info, None: nobody read them; opened:
    this command opened a run; verdict of the host's record on the storage node, None: no record.
    """
    runs, verdict = known["runs"], known["verdict"]
    # A run of another request that nobody collected is not stored either.
    open_runs = {run["run_id"] for run in runs or () if run["state"] != "closed"}
    unread = None if runs is None else bool(open_runs)
    return Host(
        name=str(known["host"]),
        stored=verdict is not None and open_runs <= {known["run_id"]},
        passed=verdict is not None and verdict["status"] == "passed",
        opened=True if known["opened"] else unread,
    )


def decide(
    policy: str,
    machines: Sequence[dict[str, Any]],
    hosts: Sequence[Host],
    created: Sequence[str],
) -> dict[str, Any]:
    """release: {cloud: names}, lines: a sentence for each machine of the fleet.

    `machines`: as modules show them (report.machine_data); `hosts`: those of this command;
    `created`: names this command made.
    """
    known = {host.name: host for host in hosts}
    release: dict[str, list[str]] = {}
    lines: list[str] = []
    for machine in sorted(machines, key=lambda item: (str(item["cloud"]), str(item["name"]))):
        name = str(machine["name"])
        host = known.get(name)
        why = _why_it_stays(policy, machine, host, name in created)
        if why:
            if machine["live"]:
                lines.append(f"{name} stays: {why}. {_bill(machine)}")
            continue
        release.setdefault(str(machine["cloud"]), []).append(name)
        lines.append(f"{name} is released: {_why_it_goes(host)}.")
    return {"release": release, "lines": lines}


def _why_it_stays(policy: str, machine: dict[str, Any], host: Host | None, is_new: bool) -> str:
    """Empty: it goes."""
    if policy == NEVER:
        return "release=never"
    if machine["keep"]:
        return "its group sets keep"
    if host is None:
        return "" if is_new else "it was no host of this command"
    if policy == PASSED and not host.passed:
        return "its host did not pass and release=passed"
    if host.stored:
        return ""
    # Nothing was begun on a machine that is new, or on one whose runs were read and are closed.
    if host.opened is False or (host.opened is None and is_new):
        return ""
    return (
        "the storage node does not have its results. Running the same command again stores them"
        " and then releases it"
    )


def _why_it_goes(host: Host | None) -> str:
    if host is not None and host.stored:
        return "the storage node has its results, verified"
    return "no run was opened on it"


def _bill(machine: dict[str, Any]) -> str:
    rate = machine.get("hourly_usd")
    cost = "It bills (no price is known)" if rate is None else f"It bills {usd(rate)} an hour"
    until = machine.get("expires_at")
    return f"{cost}, until its TTL ends it at {until}" if until else f"{cost}; NOTHING ENDS IT"


def interrupted(
    hosts: Sequence[Host],
    before: Sequence[dict[str, Any]],
    machines: Sequence[dict[str, Any]],
    now: datetime,
) -> dict[str, str]:
    """What became of a host's machine, by host; only of hosts without results whose machine ended.

    `before`: the machines as the command acquired them. `machines`: as the cloud shows them now.
    """
    live = {str(item["id"]) for item in machines if item["live"]}
    lost = {host.name for host in hosts if not host.stored and not host.passed}
    found: dict[str, str] = {}
    for item in before:
        name = str(item["name"])
        if name not in lost or str(item["id"]) in live:
            continue
        expired = item.get("expires_at") and format_time(now) >= str(item["expires_at"])
        if expired:
            reason = f"its TTL ended it at {item['expires_at']}"
        elif item["spot"]:
            reason = "the cloud took the spot machine back"
        else:
            reason = "the cloud no longer shows it, so somebody ended it"
        found[name] = (
            f"The machine {name} ({item['type']}, {item['zone']}) ended before its results were"
            f" stored: {reason}. Running the same command again acquires another one."
        )
    return found

"""Chooses the fleet's run: new, adopted, collected or closed. Pure except for the new id."""

from __future__ import annotations

from typing import Any

from ..base.errors import FleetError
from ..wire.machine import machine_of
from .holder import holder, is_same_controller
from .run_id import new_run_id
from .runs import busy


def decide(
    run_id: str | None,
    request_sha256: str,
    controller: dict[str, Any],
    hosts: list[dict[str, Any]],
) -> dict[str, Any]:
    """run_id, how, a message that says why, whether hosts measure, and to whom the run is unknown.

    `hosts`: [{host, runs and machine of dlrm_run_info, request_sha256}]; runs is None where nobody
    could read them. A host's request_sha256 is its own if its sources are its own; without it,
    `request_sha256` holds.
    """
    hosts = [
        {**entry, "request_sha256": entry.get("request_sha256") or request_sha256}
        for entry in hosts
        if entry["runs"] is not None
    ]
    if not hosts:
        raise FleetError("no host told of its runs", "none of them could be read")
    chosen = _choose(run_id, controller, hosts)
    if chosen["how"] != "closed":
        _refuse_two_names(hosts)
    others = [
        entry["host"]
        for entry in hosts
        if chosen["run_id"] not in [run["run_id"] for run in entry["runs"]]
    ]
    return {
        **chosen,
        "measures": chosen["how"] != "closed",
        "unknown_to": others if chosen["how"] in ("adopted", "collected") else [],
    }


def _choose(
    run_id: str | None,
    controller: dict[str, Any],
    hosts: list[dict[str, Any]],
) -> dict[str, str]:
    seen = [(entry["host"], run) for entry in hosts for run in entry["runs"]]
    sha256_of = {entry["host"]: entry["request_sha256"] for entry in hosts}
    wanted = [(host, run) for host, run in seen if run["run_id"] == run_id]
    if run_id is not None and wanted and all(run["state"] == "closed" for _host, run in wanted):
        _refuse_other_request(run_id, sha256_of, wanted)
        return _answer(run_id, "closed", "its record is stored; nothing is measured again")
    _refuse_busy(controller, seen)
    if run_id is not None:
        return _named(run_id, sha256_of, wanted, hosts)
    same = [
        (host, run)
        for host, run in seen
        if run["state"] != "closed" and run["request_sha256"] == sha256_of[host]
    ]
    if same:
        newest = max(run["run_id"] for _host, run in same)
        return _adopt(newest, [(host, run) for host, run in same if run["run_id"] == newest])
    count = f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"
    return _answer(new_run_id(), "new", f"no open run of this request on {count}")


def _named(
    run_id: str,
    sha256_of: dict[str, str],
    wanted: list[tuple[str, dict[str, Any]]],
    hosts: list[dict[str, Any]],
) -> dict[str, str]:
    if not wanted:
        known = sorted({run["run_id"] for entry in hosts for run in entry["runs"]})
        raise FleetError(
            f"run_id {run_id!r} is not known to {_names(entry['host'] for entry in hosts)}",
            f"the newest known runs are {', '.join(known[-5:])}" if known else "no run is known",
            "Leave run_id out to start a new run",
        )
    _refuse_other_request(run_id, sha256_of, wanted)
    return _adopt(run_id, [(host, run) for host, run in wanted if run["state"] != "closed"])


def _adopt(run_id: str, held: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    host, run = held[0]
    reason = {
        "orphaned": "whose process is gone",
        "lapsed": f"whose lease ended {run['lease_until']}",
        "live": "which is this process",
        "damaged": "whose lock could not be read and is set aside",
    }[run["state"]]
    why = f"opened {run['opened_at']} on {host} by {holder(run)}, {reason}"
    if all(run["measured"] for _host, run in held):
        return _answer(run_id, "collected", f"it finished while no controller watched; {why}")
    return _answer(run_id, "adopted", why)


def _answer(run_id: str, how: str, why: str) -> dict[str, str]:
    return {"run_id": run_id, "how": how, "message": f"run {run_id}: {how}; {why}"}


def _refuse_busy(controller: dict[str, Any], seen: list[tuple[str, dict[str, Any]]]) -> None:
    foreign = [
        (host, run)
        for host, run in seen
        if run["state"] == "live" and not is_same_controller(run["controller"], controller)
    ]
    if foreign:
        host, run = foreign[0]
        others = sorted({name for name, _run in foreign[1:]} - {host})
        also = f" (also busy: {', '.join(others)})" if others else ""
        raise FleetError(f"host {host} is busy{also}", *busy(run))


def _refuse_other_request(
    run_id: str, sha256_of: dict[str, str], wanted: list[tuple[str, dict[str, Any]]]
) -> None:
    # A damaged lock does not say its request: whoever names that run is believed.
    for host, run in wanted:
        if run["state"] != "damaged" and run["request_sha256"] != sha256_of[host]:
            raise FleetError(
                f"run_id {run_id!r} on host {host} belongs to another request",
                f"its sha256 is {run['request_sha256'][:12]}, this one's is {sha256_of[host][:12]}",
                "Use the variables of that run, or leave run_id out",
            )


def _refuse_two_names(hosts: list[dict[str, Any]]) -> None:
    """One machine under two names would be measured once and recorded twice, or disturb itself."""
    names_of: dict[str, list[str]] = {}
    for entry in hosts:
        machine = machine_of(entry.get("machine"))
        if machine is not None:
            names_of.setdefault(machine, []).append(entry["host"])
    twice = [", ".join(names) for names in names_of.values() if len(names) > 1]
    if twice:
        raise FleetError(
            f"the hosts {' and '.join(twice)} are one machine",
            "they have the same boot and the same processes, so both would be one measurement",
            "Keep one of these names in the group benchmark_hosts",
        )


def _names(hosts: Any) -> str:
    return ", ".join(sorted(hosts)) or "any host"

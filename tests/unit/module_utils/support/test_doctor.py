"""What the doctor says about a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.support.doctor import (
    clock_offset,
    finding,
    host_findings,
    is_fit,
    lines,
)

HOST = {
    "cpu": {"model": "Zen", "allowed_cores": 2, "flags": {"avx512_vnni": True, "amx": False}},
    "os": {"name": "Debian", "version": "12"},
    "memory": {"total_gib": 24.0},
}


def seen(**changes: Any) -> dict[str, Any]:
    good = {
        "problems": [],
        "host": HOST,
        "engine": "20.10.24",
        "daemon": True,
        "live_restore": True,
        "sent": 100.0,
        "clock": "101",
        "received": 103.0,
    }
    return {**good, **changes}


def states(**changes: Any) -> dict[str, str]:
    return {one["what"]: one["state"] for one in host_findings(seen(**changes))}


def test_a_ready_host() -> None:
    found = host_findings(seen())
    assert is_fit(found)
    assert lines("a", found) == [
        "a: ready",
        "  ok      reached: answers; Python runs; becomes root.",
        "  ok      machine: Debian 12, Zen, 2 cores (avx512_vnni), 24 GiB.",
        "  ok      container engine: answers, version 20.10.24.",
        "  ok      clock: agrees with the controller's.",
    ]


@pytest.mark.parametrize(
    ("changes", "what", "state"),
    [
        ({"problems": ["Host 'a' needs 4 GiB."]}, "machine", "missing"),
        ({"engine": ""}, "container engine", "note"),
        ({"engine": "", "daemon": False}, "container engine", "note"),
        ({"live_restore": False}, "live-restore", "note"),
        ({"clock": "3700"}, "clock", "note"),
        ({"clock": "10"}, "clock", "note"),
        ({"clock": "120"}, "clock", "ok"),
        ({"failure": {"phase": "unreachable", "message": "timed out"}}, "unreachable", "missing"),
    ],
)
def test_only_what_prevents_a_run_is_missing(
    changes: dict[str, Any], what: str, state: str
) -> None:
    assert states(**changes)[what] == state
    assert is_fit(host_findings(seen(**changes))) is (state != "missing")


def test_the_worst_stands_first_with_its_remedy() -> None:
    shown = lines("a", [finding("ok", "x", "y"), finding("missing", "p", "none.", "Get it")])
    assert shown == ["a: NOT ready", "  missing p: none. Get it.", "  ok      x: y."]


@pytest.mark.parametrize(
    ("host", "offset"), [(100, 0), (105, 0), (110, 0), (115.5, 5.5), (90, -10)]
)
def test_only_what_is_sure_counts_as_offset(host: float, offset: float) -> None:
    assert clock_offset(100, host, 110) == offset

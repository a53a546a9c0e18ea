"""What the doctor says about a host, and what a run refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.support import doctor
from ansible.module_utils.dlrm_fleet.support.ways import words
from ansible.module_utils.dlrm_fleet.support.ways.words import clock_offset
from ansible.module_utils.dlrm_fleet.wire.ways import Way

HOST: dict[str, Any] = {
    "cpu": {"model": "Zen", "allowed_cores": 2, "flags": {"avx512_vnni": True, "amx": False}},
    "os": {"name": "Debian GNU/Linux", "version": "12"},
    "memory": {"total_gib": 24.0},
    "disk": {"path": "/srv/dlrm"},
}


def system(name: str, version: str) -> dict[str, Any]:
    return {**HOST, "os": {"name": name, "version": version}}


OLDEST = {"Debian": "12", "Ubuntu": "22.04", "RedHat": "9"}
PIP = Way("pip", "a", "https://index.example/simple", "skipped", "the host has all packages")


def answer(**changes: Any) -> dict[str, Any]:
    good = {
        "problems": [],
        "host": HOST,
        "engine": {"answers": True, "version": "20.10.24", "live_restore": True},
        "software": {"programs": ["dockerd"]},
        "ways": [Way("engine sees root", "a", "/srv/dlrm").document(), PIP.document()],
        "keys": [],
        "engine_package": "docker.io",
    }
    return {**good, **changes}


def seen(clock: float = 101, **changes: Any) -> dict[str, Any]:
    times = {"sent": 100.0, "host": clock, "received": 103.0}
    return {"login": "bench", "address": "192.168.0.9", "clock": times, "answer": answer(**changes)}


def node(*ways: Way, **changes: Any) -> dict[str, Any]:
    times = {"sent": 100.0, "host": 101, "received": 103.0}
    return {"clock": times, "ways": [way.document() for way in ways], **changes}


def judged(host: dict[str, Any] | None, storage: dict[str, Any] | None = None) -> words.Tried:
    store = words.read("store", storage or node())
    [one], _store = words.with_storage(words.with_clocks([words.read("a", host)], store), store)
    return one


def states(host: dict[str, Any]) -> dict[str, str]:
    found = doctor.host_findings(judged(host), OLDEST)
    return {one["what"].partition(",")[0]: one["state"] for one in found}


def test_a_cpu_quota_is_shown_with_the_cores() -> None:
    limited = {**HOST, "cpu": {**HOST["cpu"], "quota_cores": 0.5}}
    found = doctor.host_findings(judged(seen(host=limited)), OLDEST)
    (machine,) = (one for one in found if one["what"] == "machine")
    assert "2 cores, of which a CPU quota leaves 0.5 (" in machine["found"]


def test_a_ready_host() -> None:
    found = doctor.host_findings(judged(seen()), OLDEST)
    assert doctor.is_fit(found)
    assert doctor.lines("a", found) == [
        "a: ready",
        "  skipped pip, from a to https://index.example/simple: the host has all packages.",
        "  ok      machine: Debian GNU/Linux 12, Zen, 2 cores (avx512_vnni), 24 GiB.",
        "  ok      container engine: answers, version 20.10.24.",
        "  ok      ways: open: connection, root's rights, engine sees root, clock.",
    ]


@pytest.mark.parametrize(
    ("changes", "what", "state"),
    [
        ({"problems": ["Host 'a' needs 4 GiB."]}, "machine", "missing"),
        (
            {"host": {**HOST, "os": {"name": "Debian GNU/Linux", "version": "11"}}},
            "machine",
            "missing",
        ),
        ({"host": {**HOST, "os": {"name": "Slackware", "version": "15"}}}, "machine", "missing"),
        ({"host": {**HOST, "disk": {"path": "/srv"}}}, "machine", "missing"),
        ({"engine": {"answers": False}}, "container engine", "note"),
        ({"engine": {"answers": False}, "software": {"programs": []}}, "container engine", "note"),
        ({"clock": 3700}, "clock", "note"),
        ({"clock": 10}, "clock", "note"),
        ({"clock": 120}, "ways", "ok"),
        (
            {"ways": [Way("pip", "a", "x", "failed", "down", "mend it").document()]},
            "pip",
            "missing",
        ),
    ],
)
def test_only_what_prevents_a_run_is_missing(
    changes: dict[str, Any], what: str, state: str
) -> None:
    found = doctor.host_findings(judged(seen(**changes)), OLDEST)
    assert states(seen(**changes))[what] == state
    assert doctor.is_fit(found) is (state != "missing")


def test_red_hat_is_written_in_two_words() -> None:
    assert states(seen(host=system("Red Hat Enterprise Linux", "9.4")))["machine"] == "ok"


def test_a_host_without_an_engine_and_a_package_of_one_is_missing_it() -> None:
    bare: dict[str, Any] = {
        "engine": {"answers": False},
        "software": {"programs": []},
        "engine_package": "",
    }
    found = doctor.host_findings(judged(seen(**bare)), OLDEST)
    assert "dlrm_host_engine_package" in str([one for one in found if one["state"] == "missing"])


def test_one_line_a_failed_way_and_a_run_refuses_with_the_same_words() -> None:
    said = {"step": "connection", "said": "ssh: connect to host x port 22: Connection refused"}
    tried = judged({"refused": said, "login": "bench", "address": "192.168.0.9"})
    [_head, line, *_rest] = doctor.lines("a", doctor.host_findings(tried, OLDEST))
    words_of_it = (
        "connection, from the controller to a: nothing listens at its SSH port."
        " Start sshd there, or set ansible_port."
    )
    assert line == f"  missing {words_of_it}"
    assert doctor.refusal(tried) == {"phase": "unreachable", "message": words_of_it}


def test_root_is_refused_by_its_own_words() -> None:
    said = {"step": "become", "said": "sudo: a password is required"}
    tried = judged({"refused": said, "login": "bench"})
    refused = doctor.refusal(tried)
    assert refused is not None
    assert refused["phase"] == "prepare"
    assert refused["message"].startswith("root's rights, from bench@a to root: sudo wants")


@pytest.mark.parametrize(
    "host", [None, {"msg": "a template"}, {"answer": {"ways": 3}, "clock": {}}]
)
def test_a_host_that_says_nothing_or_nonsense_is_refused(host: dict[str, Any] | None) -> None:
    assert doctor.refusal(judged(host)) is not None


def test_a_key_that_a_run_puts_there_is_a_note_and_one_that_is_there_already_a_fault() -> None:
    why = "it does not let user bench in with this key; a run puts the key there"
    key = Way("write key", "store", "a", "note", why, "x")
    assert doctor.refusal(judged(seen(), node(key))) is None
    refused = doctor.refusal(judged(seen(keys=["read", "write"]), node(key)))
    assert refused is not None
    assert "dlrm_storage_from" in refused["message"]


def test_the_storage_node_that_cannot_take_results_stops_every_host() -> None:
    said = {"step": "connection", "said": "Connection timed out"}
    store = words.read("store", {"refused": said, "address": "10.0.0.9"})
    refused = doctor.storage_refusal(store)
    assert refused is not None
    assert refused["phase"] == "storage"
    assert "Nothing was run: the storage node store cannot take results" in refused["message"]
    assert doctor.storage_refusal(words.read("store", node())) is None


def test_the_worst_stands_first_with_its_remedy() -> None:
    found = [doctor.finding("ok", "x", "y"), doctor.finding("missing", "p", "none.", "Get it")]
    assert doctor.lines("a", found) == [
        "a: NOT ready",
        "  missing p: none. Get it.",
        "  ok      x: y.",
    ]


@pytest.mark.parametrize(("host", "offset"), [(99, 0), (105, 0), (110, 0), (115.5, 5.5), (89, -10)])
def test_only_what_is_sure_counts_as_offset(host: float, offset: float) -> None:
    assert clock_offset(100, host, 110) == offset

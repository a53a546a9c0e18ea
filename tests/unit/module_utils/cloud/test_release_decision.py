"""Which machines go after a benchmark: nothing is lost, nothing bills unsaid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.cloud.release_decision import (
    Host,
    as_host,
    decide,
    interrupted,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def machine(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "cloud": "aws", "id": "i-" + name, "name": name, "type": "r8g.8xlarge", "spot": False,
        "zone": "us-east-1a", "live": True, "keep": False, "hourly_usd": 1.885,
        "expires_at": "2026-11-25T12:00:00Z", **changes,
    }  # fmt: skip


def host(name: str, **changes: Any) -> Host:
    return Host(**{"name": name, "stored": True, "passed": True, "opened": True, **changes})


def known(**changes: Any) -> Host:
    said = {"host": "a", "run_id": "mine", "runs": [], "opened": False, "verdict": None}
    return as_host({**said, **changes})


MINE = {"run_id": "mine", "state": "live"}
OTHER = {"run_id": "other", "state": "orphaned"}
CLOSED = {"run_id": "older", "state": "closed"}


@pytest.mark.parametrize(
    ("runs", "stored"),
    [([], True), (None, True), ([MINE, CLOSED], True), ([MINE, OTHER], False), ([OTHER], False)],
)
def test_a_record_counts_where_no_other_run_waits(
    runs: list[dict[str, str]] | None, stored: bool
) -> None:
    one = known(runs=runs, verdict={"status": "passed"})
    assert (one.stored, one.passed) == (stored, True)


@pytest.mark.parametrize("status", ["failed", "unknown"])
def test_a_record_that_did_not_pass_is_stored_all_the_same(status: str) -> None:
    one = known(verdict={"status": status})
    assert (one.stored, one.passed) == (True, False)


@pytest.mark.parametrize(
    ("runs", "opened", "wanted"),
    [
        (None, False, None),
        ([], False, False),
        ([CLOSED], False, False),
        ([OTHER], False, True),
        (None, True, True),
        ([], True, True),
    ],
)
def test_whether_a_run_may_lie_there(
    runs: list[dict[str, str]] | None, opened: bool, wanted: bool | None
) -> None:
    one = known(runs=runs, opened=opened)
    assert (one.stored, one.passed, one.opened) == (False, False, wanted)


def test_a_command_without_a_run_keeps_what_is_open() -> None:
    one = known(run_id=None, runs=[OTHER], verdict={"status": "passed"})
    assert (one.stored, one.opened) == (False, True)


@pytest.mark.parametrize("passed", [True, False])
def test_what_is_stored_goes(passed: bool) -> None:
    plan = decide("always", [machine("a")], [host("a", passed=passed)], [])
    assert plan["release"] == {"aws": ["a"]}
    assert plan["lines"] == ["a is released: the storage node has its results, verified."]


@pytest.mark.parametrize("opened", [True, None])
def test_what_is_not_stored_stays_and_says_its_cost(opened: bool | None) -> None:
    plan = decide("always", [machine("a")], [host("a", stored=False, opened=opened)], [])
    assert plan["release"] == {}
    assert "does not have its results" in plan["lines"][0]
    assert "bills 1.89 USD an hour, until its TTL ends it at 2026-11-25T12:00" in plan["lines"][0]


def test_a_run_opened_on_a_new_machine_keeps_it() -> None:
    plan = decide("always", [machine("a")], [host("a", stored=False, opened=True)], ["a"])
    assert plan["release"] == {}


@pytest.mark.parametrize(("opened", "created"), [(False, []), (None, ["a"])])
def test_where_nothing_was_begun_it_goes(opened: bool | None, created: list[str]) -> None:
    one = host("a", stored=False, passed=False, opened=opened)
    plan = decide("always", [machine("a")], [one], created)
    assert plan["release"] == {"aws": ["a"]}


def test_policies_and_kept_groups() -> None:
    machines = [machine("a"), machine("b", cloud="gcp"), machine("c", keep=True), machine("d")]
    hosts = [host("a"), host("b", passed=False), host("c")]
    assert decide("always", machines, hosts, [])["release"] == {"aws": ["a"], "gcp": ["b"]}
    assert decide("passed", machines, hosts, [])["release"] == {"aws": ["a"]}
    assert decide("never", machines, hosts, ["a"])["release"] == {}
    said = "\n".join(decide("passed", machines, hosts, [])["lines"])
    assert "b stays: its host did not pass and release=passed. It bills 1.89 USD" in said
    assert "c stays: its group sets keep" in said
    assert "d stays: it was no host of this command" in said


def test_a_new_machine_that_never_became_a_host_goes() -> None:
    assert decide("always", [machine("a")], [], ["a"])["release"] == {"aws": ["a"]}


def test_no_price_and_no_end_are_said() -> None:
    plan = decide("never", [machine("a", hourly_usd=None, expires_at="")], [], [])
    assert "no price is known" in plan["lines"][0]
    assert "NOTHING ENDS IT" in plan["lines"][0]


def test_a_spot_machine_taken_away_is_an_interruption() -> None:
    before = [machine("a", spot=True), machine("b"), machine("c"), machine("d", spot=True)]
    hosts = [host(name, stored=False, passed=False) for name in "abc"] + [host("d")]
    # a is gone, b ended by hand, c lives, d had brought its results home before.
    ended = interrupted(hosts, before, [machine("b", live=False), machine("c")], NOW)
    assert sorted(ended) == ["a", "b"]
    assert "the cloud took the spot machine back" in ended["a"]
    assert "somebody ended it" in ended["b"]


def test_the_ttl_is_named() -> None:
    before = [machine("a", spot=True, expires_at="2026-11-24T11:00:00Z")]
    hosts = [host("a", stored=False, passed=False)]
    assert "its TTL ended it at 2026-11-24T11:00:00Z" in interrupted(hosts, before, [], NOW)["a"]

"""The table that ends a run names every host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.results.summary import WIDTH, summarise

REASON = "Accuracy must reach soft_auc 0.99900, found 0.95000. " * 4


def result(host: str, status: str = "passed", **changes: Any) -> dict[str, Any]:
    run = {
        "run_id": "20260131T120000Z-0a1b2c",
        "request": {"parameters": {"precision": "int8"}},
        "performance": {"samples_per_second": 1434.8, "valid": True},
        "accuracy": {"auc": 0.80241, "soft_auc": None},
        "verdict": {
            "status": status,
            "grade": "quiet",
            "reasons": [] if status == "passed" else [REASON],
        },
        "comparability": {"marks": ["demo: not comparable"]},
    }
    return {"host": host, "failure": None, "run": {**run, **changes}}


UNREACHABLE = {
    "host": "arm-03",
    "failure": {"phase": "unreachable", "message": "no route to host"},
    "run": None,
}
MISSING = {"host": "arm-04", "failure": None, "run": None}


def test_a_row_says_all_figures() -> None:
    lines = summarise([result("arm-01")], "all")["lines"]
    assert lines[0].split() == (
        [
            "host",
            "precision",
            "samples/s",
            "LoadGen",
            "AUC",
            "%",
            "soft",
            "AUC",
            "%",
            "verdict",
            "grade",
        ]
    )
    assert lines[2].split() == (
        ["arm-01", "int8", "1,434.80", "VALID", "80.241", "-", "passed", "quiet"]
    )
    assert "These results are marked: demo: not comparable." in lines
    assert lines[-1] == "1 of 1 hosts passed, all must: passed."


def test_every_host_is_listed_whatever_became_of_it() -> None:
    outcome = summarise([MISSING, UNREACHABLE, result("arm-02", "failed"), result("arm-01")], "all")
    assert [row["host"] for row in outcome["document"]["results"]] == [
        "arm-01",
        "arm-02",
        "arm-03",
        "arm-04",
    ]
    assert [row["status"] for row in outcome["document"]["results"]] == [
        "passed",
        "failed",
        "unreachable",
        "missing",
    ]
    assert "    ! unreachable: no route to host" in outcome["lines"]
    assert "    ! The host left neither a record nor a failure." in outcome["lines"]
    assert outcome["lines"][-1] == "1 of 4 hosts passed, all must: FAILED."
    assert outcome["passed"] is False


def test_the_table_fits_into_100_columns() -> None:
    long = result(
        "a-very-long-host-name-in-some-cloud-with-zone-europe-west4-a-0017", "interrupted"
    )
    huge = result("b", performance={"samples_per_second": 98765432.1, "valid": False})
    outcome = summarise([long, huge, UNREACHABLE], "any")
    assert max(len(line) for line in outcome["lines"]) <= WIDTH == 100
    assert "…" in outcome["table"]
    assert "europe-west4-a-0017" in outcome["table"]
    assert "  98,765,432 INVALID " in outcome["table"]
    assert outcome["table"] == "\n".join(outcome["lines"])


def test_a_run_without_figures_has_dashes() -> None:
    lines = summarise([result("a", "interrupted", performance=None, accuracy=None)], "all")["lines"]
    assert lines[2].split() == ["a", "int8", "-", "-", "-", "-", "interrupted", "quiet"]


@pytest.mark.parametrize(
    ("passing", "failing", "policy", "passed"),
    [
        (2, 0, "all", True),
        (1, 1, "all", False),
        (1, 1, "any", True),
        (0, 2, "any", False),
        (1, 1, 50, True),
        (1, 1, 51, False),
        (2, 1, 66, True),
        (2, 1, 67, False),
        (4, 1, 80, True),
        (3, 2, 80, False),
        (1, 99, 1, True),
        (0, 99, 1, False),
        (0, 0, "all", False),
        (0, 0, 1, False),
    ],
)
def test_exit_policy(passing: int, failing: int, policy: str | int, passed: bool) -> None:
    results = [result(f"p{number}") for number in range(passing)]
    results += [result(f"f{number}", "failed") for number in range(failing)]
    outcome = summarise(results, policy)
    assert outcome["passed"] is passed
    assert outcome["document"]["hosts_passed"] == passing


def test_no_host_is_said() -> None:
    assert summarise([], "any")["lines"][-1] == (
        "No host was asked to run: check the inventory and --limit."
    )


def test_a_host_that_nothing_is_known_of_is_missing() -> None:
    outcome = summarise([result("arm-01")], "all", ["arm-01", "arm-02"])
    rows = outcome["document"]["results"]
    assert [(row["host"], row["status"]) for row in rows] == [
        ("arm-01", "passed"),
        ("arm-02", "missing"),
    ]
    assert outcome["passed"] is False


def test_the_limit_holds_what_did_not_pass_and_localhost() -> None:
    some = [result("arm-01"), result("arm-02", "interrupted"), UNREACHABLE, MISSING]
    assert summarise(some, "any")["limit"] == ["arm-02", "arm-03", "arm-04", "localhost"]
    assert summarise([result("arm-01")], "all")["limit"] == []


def test_a_row_keeps_what_ended_the_host_early() -> None:
    recorded = {**result("arm-01", "failed"), "failure": {"phase": "stages", "message": "OOM"}}
    rows = summarise([recorded, UNREACHABLE, MISSING], "all", run_id="r")["document"]["results"]
    assert [row["failure"] for row in rows] == [
        {"phase": "stages", "message": "OOM"},
        UNREACHABLE["failure"],
        None,
    ]


def test_what_fails_beside_a_result_that_counts_is_said() -> None:
    one = result("arm-01") | {"failure": {"phase": "storage", "message": "closing was killed"}}
    found = summarise([one], "all")
    assert found["passed"]
    [row] = found["document"]["results"]
    assert row["reasons"] == [
        "The result counts, though something else failed: storage: closing was killed"
    ]
    assert any("closing was killed" in line for line in found["lines"])
    [failed] = summarise([result("arm-02", "failed") | {"failure": one["failure"]}], "all")[
        "document"
    ]["results"]
    assert failed["reasons"] == [REASON]


def test_images_that_differ_are_said_and_change_no_verdict() -> None:
    both = [result("arm-01"), result("arm-02")]
    for one, digit in zip(both, "ab", strict=True):
        one["run"]["image"] = {"name": "dlrm-bench:1", "id": f"sha256:{digit * 64}"}
        one["run"]["host"] = {"architecture": "x86_64"}
    outcome = summarise(both, "all")
    assert outcome["passed"]
    assert "dlrm-bench:1 has 2 digests on x86_64" in " ".join(outcome["lines"])
    assert max(map(len, outcome["lines"])) <= WIDTH

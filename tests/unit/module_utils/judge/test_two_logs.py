"""Whether LoadGen's two logs are of one run, in real ones (tests/unit/fixtures/loadgen)."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.judge.loadgen_log import parse_detail, parse_summary
from ansible.module_utils.dlrm_fleet.judge.two_logs import disagreement
from judged_run import LOGS, log

CASES = ("valid", "invalid", "multiple_conf", "server", "server_slow")


def compared(summary: str, detail: str) -> list[str]:
    return disagreement(parse_summary(summary), parse_detail(detail))


@pytest.mark.parametrize("case", CASES)
def test_logs_of_one_run_agree(case: str) -> None:
    assert compared(log(case, "summary"), log(case, "detail")) == []


def test_every_case_is_tried() -> None:
    assert {path.name for path in LOGS.iterdir() if path.is_dir()} == {
        *CASES,
        # No figure of performance stands in these.
        *("accuracy", "interrupted"),
    }


@pytest.mark.parametrize("case", [case for case in CASES if case != "valid"])
def test_logs_of_two_real_runs_differ(case: str) -> None:
    (reason,) = compared(log("valid", "summary"), log(case, "detail"))
    assert reason.startswith("These logs are of two runs: ")


@pytest.mark.parametrize(
    ("said", "logged", "same"),
    [
        ("392.02", "392.022", True),
        ("392.02", "392.03", False),
        ("0.57", "0.5748", True),
        ("0.57", "0.577", False),
        ("1e+06", "1000003", True),
    ],
)
def test_servers_summary_rounds_to_two_decimals(said: str, logged: str, same: bool) -> None:
    summary = log("server", "summary").replace(": 392.02\n", f": {said}\n")
    detail = log("server", "detail").replace(" 392.022,", f" {logged},")
    assert (compared(summary, detail) == []) is same


def test_what_a_log_says_is_shown_escaped_and_short() -> None:
    summary = log("valid", "summary").replace("PySUT", "\x1b[2J" + "x" * 5000)
    (reason,) = compared(summary, log("valid", "detail"))
    assert "'SUT name' is \\x1b[2Jxxx" in reason
    assert len(reason) < 250

"""Module dlrm_run_summary."""

from __future__ import annotations

import pytest
from module_runner import run_module

import dlrm_run_summary

FAILED = {"host": "arm-01", "failure": {"phase": "stage dump", "message": "disk full"}}


def test_a_failed_host_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(dlrm_run_summary, capsys, results=[FAILED], _ansible_check_mode=True)
    assert result["changed"] is False
    assert result["passed"] is False
    assert "    ! stage dump: disk full" in result["table"].splitlines()
    assert result["document"]["results"][0]["status"] == "failed"


def test_a_number_is_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    passed = {
        "run_id": "r",
        "request": {"parameters": {"precision": "int8"}},
        "verdict": {"status": "passed", "grade": "quiet", "reasons": []},
        "comparability": {"marks": []},
    }
    result = run_module(
        dlrm_run_summary,
        capsys,
        hosts=["arm-01", "arm-02"],
        results=[FAILED, {"host": "arm-02", "run": passed}],
        exit_policy=50,
    )
    assert result["passed"] is True
    assert result["document"]["exit_policy"] == "50%"
    assert result["limit"] == ["arm-01", "localhost"]


def test_another_policy_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(dlrm_run_summary, capsys, results=[], exit_policy="most")
    assert result["failed"] is True
    assert result["msg"].startswith("exit_policy 'most':")

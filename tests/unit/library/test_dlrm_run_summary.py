"""Module dlrm_run_summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_run_summary

FAILED = {"host": "arm-01", "failure": {"phase": "stage dump", "message": "disk full"}}


def summary(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    asked = {"storage": "store-01:/srv/dlrm-storage", "precision": "int8"}
    return run_module(dlrm_run_summary, capsys, **asked, **arguments)


def test_a_failed_host_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    result = summary(capsys, results=[FAILED], _ansible_check_mode=True)
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
    result = summary(
        capsys,
        hosts=["arm-01", "arm-02"],
        results=[FAILED, {"host": "arm-02", "run": passed}],
        exit_policy=50,
    )
    assert result["passed"] is True
    assert result["document"]["exit_policy"] == "50%"
    assert result["limit"] == ["arm-01", "localhost"]


def test_another_policy_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    result = summary(capsys, results=[], exit_policy="most")
    assert result["failed"] is True
    assert result["msg"].startswith("exit_policy: 'most' is not allowed")


def passed_run(host: str) -> dict[str, Any]:
    run = {
        "run_id": "r",
        "request": {"parameters": {"precision": "int8"}},
        "verdict": {"status": "passed", "grade": "quiet", "reasons": []},
        "comparability": {"marks": []},
    }
    return {"host": host, "run": run}


def test_the_verdict_is_written_and_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"results": [FAILED], "folder": str(tmp_path / "new/verdicts"), "name": "r-1"}
    checked = summary(capsys, _ansible_check_mode=True, **arguments)
    assert (checked["changed"], checked["files"]) == (False, {})
    assert not (tmp_path / "new").exists()
    written = summary(capsys, **arguments)
    verdict, limit = (Path(written["files"][name]) for name in ("verdict", "limit"))
    assert written["changed"] is True
    assert json.loads(verdict.read_text()) == written["document"]
    assert (verdict.name, limit.name) == ("verdict-r-1.json", "failed-r-1.limit")
    assert limit.read_text() == "arm-01\nlocalhost\n"
    assert summary(capsys, **arguments)["changed"] is False


def test_a_limit_file_goes_when_all_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"folder": str(tmp_path), "name": "r-1"}
    summary(capsys, results=[FAILED], **arguments)
    result = summary(capsys, results=[passed_run("arm-01")], **arguments)
    assert list(result["files"]) == ["verdict"]
    assert [path.name for path in tmp_path.iterdir()] == ["verdict-r-1.json"]


def test_a_folder_that_cannot_be_is_said_beside_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    result = summary(capsys, results=[FAILED], folder=str(tmp_path / "file"), name="r-1")
    assert "failed" not in result
    assert "disk full" in result["table"]
    said = result["places"].splitlines()
    assert f"not written to '{tmp_path / 'file'}'" in said[0]
    assert said[1].startswith("Results and logs: ")


def test_words_name_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = "store-01:/srv/dlrm-storage/report/index.html"
    result = summary(
        capsys, results=[FAILED], run_id="r", report=report, folder=str(tmp_path), name="r"
    )
    assert result["places"].splitlines() == [
        "Results and logs: store-01:/srv/dlrm-storage/runs/r/<host>/",
        f"Report:           {report}",
        f"Verdict:          {tmp_path}/verdict-r.json",
        f"To run again:     {tmp_path}/failed-r.limit",
        "On each host:     $HOME/results/int8/mlperf_log_summary.txt, $HOME/model/, $HOME/data/",
    ]
    assert result["refusal"] == (
        "0 of 1 hosts passed, all must: FAILED. The reasons stand in the table above."
        f" Once more for these alone: the same command with --limit @{tmp_path}/failed-r.limit"
    )


def test_words_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    result = summary(capsys, results=[FAILED])
    assert result["refusal"].endswith("The reasons stand in the table above.")
    places = result["places"].splitlines()
    assert places[0] == "Results and logs: store-01:/srv/dlrm-storage/runs/-/<host>/"
    assert [line.split()[-1] for line in places[1:4]] == ["-", "-", "nothing"]


def test_check_mode_says_what_would_be_and_what_would_be_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hosts = ["arm-02", "arm-01"]
    results = [FAILED, passed_run("arm-02")]
    result = summary(capsys, hosts=hosts, results=results, _ansible_check_mode=True)
    assert result["refused"] == ["disk full"]
    assert result["would"] == (
        "Check mode: nothing was run. A real run would bring the artifacts and results of"
        " arm-02, arm-01 to store-01:/srv/dlrm-storage/runs/<run id>/<host>, write the report"
        " and judge them."
    )

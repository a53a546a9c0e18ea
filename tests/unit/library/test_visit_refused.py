"""A user finds the host that could not be collected, with the reason, on page and verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_run import RUN_ID
from module_runner import run_module
from visited_hosts import GOOD, Node, answering

import dlrm_artifact
import dlrm_record_info
import dlrm_run_summary

LIAR = "a-liar"
WHY = f"cannot use what {LIAR} says about run {RUN_ID}: the answer must be an object, found list"


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def uncollected(node: Node, capsys: pytest.CaptureFixture[str]) -> list[str]:
    found = run_module(dlrm_record_info, capsys, storage_root=str(node.root))
    named: list[str] = found.get("uncollected", [])
    return named


def test_a_host_whose_answer_was_refused_is_named_until_it_is_collected(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.has_a_run(LIAR)
    node.has_a_liar(LIAR, answering("[]"))
    node.visit()
    capsys.readouterr()
    [sentence] = uncollected(node, capsys) or [""]
    assert f"Run {RUN_ID} of {LIAR} is not collected" in sentence
    assert WHY in sentence
    (node.hosts / f"{LIAR}.sh").unlink()
    node.visit()
    capsys.readouterr()
    assert uncollected(node, capsys) == []
    assert node.record(LIAR) is not None
    assert node.not_served() == []
    left = [path.name for path in (node.root / "spool").glob("**/*") if path.is_file()]
    assert sorted(left) == sorted(f"{name}.json" for name in (LIAR, *GOOD))


def test_the_commands_own_verdict_names_the_host_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the pull refuses becomes the host's failure (tasks/frame/part.yml)."""
    offered: dict[str, Any] = {
        "name": "run.json",
        "path": "/srv/dlrm/runs/x",
        "bytes": 1,
        "sha256": "a" * 64,
    }
    refused = run_module(
        dlrm_artifact,
        capsys,
        storage_root=str(tmp_path),
        host="arm-02",
        run_id=RUN_ID,
        run_files=[offered],
    )
    assert refused["failed"]
    summary = run_module(
        dlrm_run_summary,
        capsys,
        hosts=["arm-01", "arm-02"],
        results=[
            {"host": "arm-02", "failure": {"phase": "storage", "message": refused["msg"]}},
            {"host": "arm-01", "failure": {"phase": "storage", "message": "x"}},
        ],
        storage="s:/d",
        precision="int8",
    )
    [row] = [row for row in summary["document"]["results"] if row["host"] == "arm-02"]
    assert row["status"] == "failed"
    assert "cannot use what arm-02 offers" in json.dumps(row["reasons"])
    assert "(this one is reserved)" in json.dumps(row["reasons"])
    assert not summary["passed"]

"""The table of all hosts and its files: what hosts say breaks neither, nor a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storing_node import BAD, CONTRACTS, ESCAPE, Node, Run, cases, table


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


@pytest.mark.parametrize("change", cases(BAD))
def test_the_table_names_one_bad_record_and_shows_the_others(
    node: Node, change: Callable[[Run], None]
) -> None:
    good = json.loads((CONTRACTS / "examples" / "run.json").read_text())
    bad = json.loads(json.dumps(good))
    change(bad)
    results = [{"host": "arm-01", "run": good}, {"host": "arm-02", "run": bad}]
    found = table(node, *results, {"host": "arm-03", "run": good}, exit_policy="any")
    assert "Traceback" not in found["table"]
    rows = {row["host"]: row for row in found["document"]["results"]}
    assert [rows[host]["status"] for host in ("arm-01", "arm-03")] == ["passed", "passed"]
    assert rows["arm-02"]["status"] == "failed"
    assert rows["arm-02"]["reasons"][0].startswith("cannot use the record of arm-02: ")
    assert "    ! cannot use the record of arm-02: " in found["table"]


def test_what_a_host_says_reaches_no_terminal_unescaped(node: Node) -> None:
    good = json.loads((CONTRACTS / "examples" / "run.json").read_text())
    good["verdict"].update(status="failed", reasons=[f"LoadGen says {ESCAPE}"])
    good["comparability"]["marks"] = [f"mark {ESCAPE}"]
    failure = {"phase": "stages", "message": f"message {ESCAPE}"}
    found = table(node, {"host": "a", "run": good}, {"host": "b", "failure": failure})
    shown = "".join([found["table"], found["places"], found["refusal"], *found["refused"]])
    assert [character for character in shown if not character.isprintable()] == ["\n"] * (
        shown.count("\n")
    )
    assert "\\x1b]0;owned" in found["table"]
    assert "\\u202ereversed" in found["table"]


FAILED = {"host": "arm-01", "failure": {"phase": "stage dump", "message": "disk full"}}


@pytest.mark.parametrize("name", ["all", "arm-*", "!arm-01", "~arm", "a:b", "arm\nall", "", "a,b"])
def test_a_limit_file_names_hosts_and_no_pattern(node: Node, name: str) -> None:
    folder = node.folder / "verdicts"
    table(node, FAILED, folder=str(folder), name="r")
    found = table(node, FAILED, {**FAILED, "host": name}, folder=str(folder), name="r")
    assert "--limit" in found["places"].splitlines()[0]
    assert [path.name for path in folder.iterdir()] == ["verdict-r.json"]


def test_a_limit_file_is_written_whole_or_not_at_all(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when the names are to be written leaves no empty file."""
    folder = node.folder / "verdicts"
    table(node, FAILED, folder=str(folder), name="r")
    (folder / "failed-r.limit").unlink()
    real = Path.replace

    def full(self: Path, target: Any) -> Any:
        if "limit" in str(target):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", full)
    found = table(node, FAILED, folder=str(folder), name="r")
    assert "No space left" in found["places"]
    assert [path.name for path in folder.iterdir()] == ["verdict-r.json"]

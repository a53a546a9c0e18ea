"""Module dlrm_storage_node_info: each thing that is missing or differs, and nothing else."""

from __future__ import annotations

import hashlib
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_storage_node_info

PROGRAM = b"the program"
UNIT = "User=@owner@\n"
OWNER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has everything: systemd, whose timer runs."""
    (tmp_path / "systemd").mkdir()
    (tmp_path / "cron").mkdir()
    (tmp_path / "root").mkdir(mode=0o755)
    (tmp_path / "program").write_bytes(PROGRAM)
    (tmp_path / "unit").write_text(f"User={OWNER}\n")
    monkeypatch.setattr(dlrm_storage_node_info, "SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(dlrm_storage_node_info, "CRON", tmp_path / "cron")
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "rsync", "exit 0")
    write_program(programs / "systemctl", "echo active; echo enabled")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return tmp_path


def write_program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def seen(node: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    given = {
        "root": str(node / "root"),
        "files": {str(node / "program"): hashlib.sha256(PROGRAM).hexdigest()},
        "systemd_files": {str(node / "unit"): UNIT},
        "cron_files": {str(node / "line"): "line"},
        "timer": "visit.timer",
        **more,
    }
    return run_module(dlrm_storage_node_info, capsys, **given)


def test_a_node_that_has_everything_lacks_nothing(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = seen(node, capsys)
    assert (found["missing"], found["clock"], found["changed"]) == ([], "systemd", False)
    assert found["owner"] == OWNER


def test_what_differs_is_named(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (node / "root").chmod(0o700)
    (node / "program").write_bytes(b"an older program")
    (node / "unit").unlink()
    write_program(node / "bin/systemctl", "echo inactive; echo enabled")
    found = seen(node, capsys, programs=["rsync", "no-such-program"])
    names = ("root", "program", "unit")
    wanted = ["no-such-program", *(str(node / name) for name in names), "visit.timer"]
    assert found["missing"] == wanted


def test_a_file_others_may_write_differs(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (node / "program").chmod(0o666)
    assert seen(node, capsys)["missing"] == [str(node / "program")]


def test_cron_where_there_is_no_systemd(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (node / "systemd").rmdir()
    (node / "unit").unlink()
    found = seen(node, capsys)
    assert (found["missing"], found["clock"]) == ([str(node / "line")], "cron")
    (node / "cron").rmdir()
    found = seen(node, capsys)
    assert (found["missing"], found["clock"]) == ([], "")

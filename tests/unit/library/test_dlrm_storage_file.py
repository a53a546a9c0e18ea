"""Module dlrm_storage_file: a file below the storage root, written once, through no link."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_storage_file


def write(tmp_path: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    given = {"storage_root": str(tmp_path), "path": "runs/id/verdict.json", "content": "{}\n"}
    return run_module(dlrm_storage_file, capsys, **{**given, **more})


def test_equal_content_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs" / "id" / "verdict.json"
    assert write(tmp_path, capsys, _ansible_check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []
    assert write(tmp_path, capsys)["changed"]
    assert not write(tmp_path, capsys)["changed"]
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("{}\n", 0o644)
    assert write(tmp_path, capsys, content="[]\n")["path"] == str(path)
    assert path.read_text() == "[]\n"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\nb"])
def test_no_file_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert "cannot write the file" in write(root, capsys, path=path)["msg"]
    assert list(root.iterdir()) == []


def test_what_lies_at_its_place_is_replaced_and_not_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "runs" / "id").mkdir(parents=True)
    outside.write_text("mine")
    path = root / "runs" / "id" / "verdict.json"
    path.symlink_to(outside)
    assert write(root, capsys)["changed"]
    assert (outside.read_text(), path.is_symlink(), path.read_text()) == ("mine", False, "{}\n")
    path.unlink()
    os.mkfifo(path)
    assert write(root, capsys)["changed"]
    assert path.is_file()

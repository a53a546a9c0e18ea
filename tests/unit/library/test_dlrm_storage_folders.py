"""Module dlrm_storage_folders: the root and the keys' folder, made once, given to one user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_storage_folders

# pytest's folders are closed to others, so they stay with whoever runs this.
OWNER = pwd.getpwuid(os.geteuid()).pw_name


def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    given = {"root": str(tmp_path / "store"), "keys": str(tmp_path / "keys"), "user": "nobody"}
    return run_module(dlrm_storage_folders, capsys, **given, **more)


def test_the_root_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = call(tmp_path, capsys, _ansible_check_mode=True)
    assert (first["changed"], first["owner"]) == (True, OWNER)
    assert list(tmp_path.iterdir()) == []
    made = call(tmp_path, capsys)
    assert (made["changed"], made["given"]) == (True, [str(tmp_path / "store")])
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o755
    again = call(tmp_path, capsys)
    assert (again["changed"], again["given"]) == (False, [])


def test_a_root_that_cannot_be_made_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").write_text("a file")
    message = call(tmp_path, capsys)["msg"]
    assert f"cannot make {str(tmp_path / 'store')!r} {OWNER}'s: File exists." in message

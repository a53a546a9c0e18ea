"""A file of secrets on the controller: only its owner can read it, and it fits its source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request.secret_files import checked_files

URL = "https://data.example.com/x"
SOURCES = {"weights_source": None, "data_source": {"kind": "urls", "urls": [{"url": URL}]}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.secret"
    path.write_text(f"{URL}?sig=s3cr3t\n")
    path.chmod(0o600)
    return path


def refusal(given: object, variable: str = "data_secret_file", **sources: Any) -> str:
    with pytest.raises(FleetError) as caught:
        checked_files({variable: given}, {**SOURCES, **sources})
    assert "s3cr3t" not in str(caught.value)
    return str(caught.value)


def test_a_private_file_is_taken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked_files({"data_secret_file": str(file)}, SOURCES) == {"data_source": str(file)}
    file.chmod(0o400)
    monkeypatch.setenv("HOME", str(file.parent))
    taken = checked_files({"data_secret_file": " ~/data.secret "}, SOURCES)
    assert taken == {"data_source": str(file)}
    assert checked_files({"data_secret_file": "", "weights_secret_file": None}, SOURCES) == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert f"its mode is {mode:04o}. Say chmod 600" in refusal(str(file))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "it is no regular file" in refusal(str(tmp_path / "pipe"))
    assert "it is no regular file" in refusal(str(tmp_path))
    assert "No such file" in refusal(str(tmp_path / "none"))
    assert "it is a relative path" in refusal("data.secret")


def test_what_does_not_fit_is_refused(file: Path) -> None:
    assert "weights_source is not given" in refusal(str(file), "weights_secret_file")
    folder = {"kind": "folder", "path": "/d"}
    assert "a folder needs no secret" in refusal(str(file), data_source=folder)
    file.write_bytes(b"\xff")
    assert "it is not UTF-8" in refusal(str(file))
    file.write_bytes(b"x" * (1024**2 + 1))
    assert "it has more than 1048576 bytes" in refusal(str(file))

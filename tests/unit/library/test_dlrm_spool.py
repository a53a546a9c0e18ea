"""Module dlrm_spool: the entry stays until the record is stored; the host's keys are added."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from made_run import RUN_ID
from module_runner import run_module

import dlrm_spool

SOURCE = {"address": "192.0.2.10", "user": "u", "key_file": "", "fleet_dir": "/k", "jump": ""}


def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    given = {
        "storage_root": str(tmp_path / "storage"),
        "folder": str(tmp_path / "keys"),
        "fleet": "lab",
        "host": "arm-01",
        "run_id": RUN_ID,
        "entry": {"host_root": "/srv/dlrm"},
        "source": SOURCE,
        "host_keys": ["ssh-ed25519 AAAA"],
        **more,
    }
    return run_module(dlrm_spool, capsys, **given)


def test_entry_and_host_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, capsys, _ansible_check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []
    first = call(tmp_path, capsys)
    assert first["changed"]
    assert Path(first["path"]).is_file()
    known = tmp_path / "keys/lab/known_hosts"
    assert known.read_text() == "192.0.2.10 ssh-ed25519 AAAA\n"
    assert not call(tmp_path, capsys)["changed"]
    assert call(tmp_path, capsys, host_keys=["ssh-ed25519 BBBB"])["changed"]


@pytest.mark.parametrize(
    "key",
    [
        "ssh-ed25519 AAAA\n* ssh-ed25519 EVIL",
        "ssh-ed25519 AAAA\n@cert-authority * ssh-ed25519 EVIL",
        "ssh-ed25519 AAAA\r* ssh-ed25519 EVIL",
        "ssh-ed25519 AAAA\n",
    ],
)
def test_a_host_adds_no_line_of_its_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    call(tmp_path, capsys)
    known = tmp_path / "keys/lab/known_hosts"
    answer = call(tmp_path, capsys, host_keys=[key])
    assert known.read_text() == "192.0.2.10 ssh-ed25519 AAAA\n"
    assert "is not a public SSH host key" in answer["msg"]


@pytest.mark.parametrize("change", [{"user": ""}, {"user": "-x"}, {"address": "a b"}])
def test_a_host_that_cannot_be_reached_is_refused_when_the_run_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str]
) -> None:
    assert call(tmp_path, capsys, source={**SOURCE, **change})["failed"]
    assert list(tmp_path.iterdir()) == []


def test_a_visit_reads_how_to_reach_the_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = json.loads(Path(call(tmp_path, capsys)["path"]).read_text())
    assert entry["host_root"] == "/srv/dlrm"
    assert entry["source"] == {
        "address": "192.0.2.10",
        "user": "u",
        "port": 22,
        "key_file": "/k/read",
        "known_hosts_file": "/k/known_hosts",
    }
    here = call(tmp_path, capsys, source={**SOURCE, "address": ""})
    assert json.loads(Path(here["path"]).read_text())["source"] is None


def test_a_recorded_run_waits_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "storage/runs" / RUN_ID / "arm-01"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    sha256 = hashlib.sha256(b"{}").hexdigest()
    (folder / "SHA256SUMS").write_text(f"{sha256}  run.json\n")
    found = call(tmp_path, capsys, host_keys=[])
    assert not found["changed"]
    assert found["path"] == ""


def test_a_host_that_is_no_file_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "it becomes a folder's name" in call(tmp_path, capsys, host="../x")["msg"]

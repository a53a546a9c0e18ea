"""The storage node tries both keys of each host; a user's own key has no gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.storage.node import ways
from ansible.module_utils.dlrm_fleet.wire.ways import Way

REFUSED = "echo 'dlrm-fleet: refused: the question is not known.' >&2; exit 77"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "read").write_text("x")
    (folder / "write").write_text("x")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return folder


def answers(tmp_path: Path, body: str) -> None:
    program = tmp_path / "bin/ssh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n{body}\n')
    program.chmod(0o755)


def tried(tmp_path: Path, **source: Any) -> list[Way]:
    given = {"address": "127.0.0.1", "port": 1, "user": "bench", **source}
    return ways.try_ways("store", tmp_path / "root", {"bench-01": given})[1:]


def test_the_gates_refusal_shows_that_each_key_opens_it(keys: Path, tmp_path: Path) -> None:
    answers(tmp_path, REFUSED)
    found = tried(tmp_path, fleet_dir=str(keys))
    assert [(way.what, way.end, way.state) for way in found] == [
        ("read key", "bench-01", "ok"),
        ("write key", "bench-01", "ok"),
    ]
    assert f"-i {keys}/write" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("body", "state", "why"),
    [
        ("echo 'Permission denied (publickey).' >&2; exit 255", "note", "a run puts the key there"),
        ("echo 'Host key verification failed.' >&2; exit 255", "note", "host key"),
        ("echo 'connect to host x: Connection refused' >&2; exit 255", "failed", "nothing listens"),
        ("echo 'sh: dlrm-fleet: not found' >&2; exit 127", "failed", "opens a shell"),
        ("echo \"can't open file '/opt/storage.pyz'\" >&2; exit 2", "note", "ended with 2"),
    ],
)
def test_each_fault_of_a_fleets_key(
    keys: Path, tmp_path: Path, body: str, state: str, why: str
) -> None:
    answers(tmp_path, body)
    found = tried(tmp_path, fleet_dir=str(keys))
    assert {way.state for way in found} == {state}
    assert all(why in way.why and way.todo for way in found)


def test_a_users_own_key_needs_no_gate_and_is_not_told_of_rsync(keys: Path, tmp_path: Path) -> None:
    answers(tmp_path, "exit 127")
    [way] = tried(tmp_path, key_file=str(keys / "read"))
    assert (way.what, way.state) == ("your own key", "ok")
    answers(tmp_path, "echo 'Permission denied (publickey).' >&2; exit 255")
    [way] = tried(tmp_path, key_file=str(keys / "read"))
    assert way.state == "failed"
    assert "rsync" not in str(way)
    assert "authorized_keys" in way.todo


def test_a_key_of_the_users_that_is_not_there(tmp_path: Path) -> None:
    [way] = tried(tmp_path, key_file="/nowhere/key")
    assert "there is no file '/nowhere/key' on the storage node" in way.why


def test_before_the_keys_are_made_only_the_way_is_tried(tmp_path: Path) -> None:
    found = tried(tmp_path, fleet_dir=str(tmp_path / "none"))
    assert {way.state for way in found} == {"failed"}
    assert "nothing listens" in found[0].why


def test_one_machine_needs_no_key(tmp_path: Path) -> None:
    [way] = tried(tmp_path, address="")
    assert way.state == "skipped"

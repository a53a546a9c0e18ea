"""dlrm_artifact pulls with the fleet's key that reads, dlrm_storage_push sends with the other.

Both log in as the users that a directory names.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_run import RUN_ID
from module_runner import run_module

import dlrm_artifact
import dlrm_storage_push

HOST = {"address": "192.0.2.10", "user": "u", "key_file": "", "fleet_dir": "/k", "jump": ""}
SHA256 = "a" * 64
ONE = {"name": "x", "path": "/srv/x", "bytes": 1, "sha256": SHA256, "link": "x"}


@pytest.mark.parametrize(
    ("module", "key", "arguments"),
    [
        (dlrm_artifact, "read", {"run_id": RUN_ID, "artifacts": [ONE], "source": HOST}),
        (dlrm_storage_push, "write", {"host_root": "/d", "files": {SHA256: 1}, "target": HOST}),
    ],
)
def test_each_transfer_has_its_own_key(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    key: str,
    arguments: dict[str, Any],
) -> None:
    stored = tmp_path / "store/sha256" / SHA256[:2] / SHA256
    if module is dlrm_storage_push:
        stored.parent.mkdir(parents=True)
        stored.write_text("x")
    commands: list[str] = []

    def refused(command: list[str]) -> tuple[int, str, str]:
        commands.append(" ".join(command))
        return 255, "", "no route"

    for name in ("run_command", "run_transfer", "run_push"):
        monkeypatch.setattr(module, name, refused, raising=False)
    result = run_module(module, capsys, storage_root=str(tmp_path), host="arm-01", **arguments)
    assert result["failed"] is True
    [command] = commands
    assert f"-i /k/{key} " in command
    assert "UserKnownHostsFile=/k/known_hosts" in command


@pytest.mark.parametrize("user", ["bench@lab.example", "LAB\\bench", "bench"])
def test_a_directorys_user_is_logged_in(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    user: str,
) -> None:
    """A stand-in for rsync writes down what it is started with."""
    program = tmp_path / "bin" / "rsync"
    program.parent.mkdir()
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{asked}\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    source = {"address": "192.0.2.10", "user": user, "port": 22, "key_file": "/k"}
    where = {"storage_root": str(tmp_path), "host": "arm-01", "run_id": RUN_ID}
    run_module(dlrm_artifact, capsys, **where, artifacts=[ONE], source=source)
    assert asked.exists(), "no transfer was tried"
    words = asked.read_text().splitlines()
    shell = shlex.split(words[words.index("-e") + 1])
    assert shell[shell.index("-l") + 1] == user
    assert "192.0.2.10:/srv/x" in words

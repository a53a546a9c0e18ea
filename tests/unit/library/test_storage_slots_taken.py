"""Modules that move files take a slot on the storage node, unless the files are there already."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.node.slots import place

import dlrm_artifact
import dlrm_storage_push

DATA = b"int8"
SHA256 = hashlib.sha256(DATA).hexdigest()


class MustWaitError(Exception):
    """The module found no free slot."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def wait(_seconds: float) -> None:
        raise MustWaitError

    monkeypatch.setattr("time.sleep", wait)
    made = tmp_path / "storage"
    made.mkdir()
    return made


def copied(command: list[str]) -> tuple[int, str, str]:
    """Copies as rsync would, from the last argument but one to the last."""
    Path(command[-1]).write_bytes(Path(command[-2]).read_bytes())
    return 0, "", ""


def test_a_fetch_waits_for_its_place_and_what_is_there_does_not(root: Path, tmp_path: Path) -> None:
    model = tmp_path / "dlrm_int8.pt"
    model.write_bytes(DATA)
    file = {"name": model.name, "path": str(model), "bytes": len(DATA), "sha256": SHA256}
    asked: dict[str, Any] = {
        "host": "arm-01",
        "run_id": "20260131T120000Z-0a1b2c",
        "artifacts": [{**file, "link": f"model/{model.name}"}],
        "run_files": [],
        "stages": [],
        "streams": 1,
        "transfers": 1,
    }
    with place(root, 1):
        with pytest.raises(MustWaitError):
            dlrm_artifact.run(Pull(root, None, copied), asked, False)
        two = {**asked, "transfers": 2}
        assert dlrm_artifact.run(Pull(root, None, copied), two, False)["changed"]
        assert not dlrm_artifact.run(Pull(root, None, copied), asked, False)["changed"]


def test_a_push_waits_for_its_place(root: Path) -> None:
    asked: dict[str, Any] = {
        "storage_root": str(root),
        "host": "arm-01",
        "host_root": "/srv/dlrm",
        "files": {},
        "refused": [],
        "target": {"address": "192.0.2.10", "user": "bench", "key_file": "/home/bench/key"},
        "streams": 1,
        "transfers": 1,
    }
    with place(root, 1), pytest.raises(MustWaitError):
        dlrm_storage_push.run(asked, False)
    assert dlrm_storage_push.run(asked, False) == {"changed": False, "sent_bytes": 0}

"""A record that a full or bad disk, a kill or a power cut interrupts is completed by the next."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import made_run
import pytest
from broken_disk import FAULTS, survives_each_change
from module_runner import run_module

import dlrm_artifact
import dlrm_record
import dlrm_result_info

HOST = "arm-01"


def record(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    """Module dlrm_record. OSError if it fails; each file must be as SHA256SUMS says."""
    answer = run_module(
        dlrm_record,
        capsys,
        storage_root=str(root),
        run_id=made_run.RUN_ID,
        host=HOST,
        request=made_run.request(),
        request_sha256="d" * 64,
        controller="ops@controller",
        opened_at="2026-01-31T12:00:00Z",
        image={"name": made_run.IMAGE, "id": "sha256:1"},
    )
    if answer.get("failed"):
        raise OSError(answer["msg"])
    folder = root / "runs" / made_run.RUN_ID / HOST
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    listed = json.loads((folder / "run.json").read_text())["files"]
    assert set(sums) == {"run.json", *(file["path"] for file in listed)}, "recorded, and not whole"
    for name, sha256 in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256


def pulled(capsys: pytest.CaptureFixture[str], folder: Path) -> Path:
    """A storage node with the run files of a finished run."""
    host, storage = folder / "host", folder / "storage"
    storage.mkdir()
    made_run.make_root(host)
    found = dlrm_result_info.read({**made_run.arguments(host), "what": "run"}, "aarch64")
    answer = run_module(
        dlrm_artifact,
        capsys,
        storage_root=str(storage),
        host=HOST,
        run_id=made_run.RUN_ID,
        run_files=found["run_files"],
    )
    assert not answer.get("failed"), answer
    return storage


@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_change_fails_the_run_is_recorded_by_the_next(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = pulled(capsys, tmp_path)
    survives_each_change(storage, tmp_path / "tries", fault, partial(record, capsys))


def test_sums_that_a_power_cut_emptied_are_no_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = pulled(capsys, tmp_path)
    record(capsys, storage)
    sums = storage / "runs" / made_run.RUN_ID / HOST / "SHA256SUMS"
    sums.chmod(0o644)
    sums.write_bytes(b"")
    record(capsys, storage)

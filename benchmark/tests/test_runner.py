"""The stage runner: what it leaves behind when a stage succeeds, fails, or is stopped."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import StageRoot
from dlrm_bench.frame.precisions import PRECISIONS

NewStage = Callable[[str], StageRoot]
TOY = Path(__file__).with_name("toy_stage.py")


def start(root: StageRoot, toy: str) -> subprocess.Popen[str]:
    _, environment = root.command()
    arguments = [sys.executable, str(TOY), toy]
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)


def run(root: StageRoot, toy: str) -> tuple[int, str]:
    child = start(root, toy)
    _, errors = child.communicate(timeout=120)
    return child.returncode, errors


def names(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def test_outputs_are_named_hashed_and_described(new_stage: NewStage) -> None:
    root = new_stage("x")
    root.ask("dump")
    assert run(root, "good")[0] == 0
    document = root.document()
    assert document["outputs"] == [
        {"name": "folder/first.bin", "bytes": 5, "sha256": hashlib.sha256(b"first").hexdigest()},
        {"name": "second.txt", "bytes": 6, "sha256": hashlib.sha256(b"second").hexdigest()},
    ]
    assert document["facts"]["found"] == 42
    assert document["facts"]["peak_memory_bytes"] > 1 << 20
    request = json.loads((root.root / "request.json").read_text())
    for field in ("key", "recipe", "attempt", "run_id", "parameters", "provenance"):
        assert document[field] == request[field]
    assert names(root.output) == {
        "folder/first.bin",
        "second.txt",
        "stage.json",
        "attempts/1/status.json",
    }
    assert root.status()["state"] == "finished"


def test_leftovers_of_earlier_attempts_go_and_their_records_stay(new_stage: NewStage) -> None:
    root = new_stage("x")
    scratch = root.output / "attempts/1/scratch"
    scratch.mkdir(parents=True)
    log = root.output / "attempts/1/log.txt"
    for path in (scratch / "big", log, root.output / "old.bin", root.output / "half.bin.partial"):
        path.write_text("left")
    (root.output / "stage.json").write_text("{}")
    (root.output / "folder").mkdir()
    (root.output / "folder/old.bin").write_text("left")
    root.ask("dump", attempt=2)
    assert run(root, "crash")[0] == 1
    left = names(root.output)
    assert left == {"attempts/1/log.txt", "attempts/2/status.json", "whole.bin"}


@pytest.mark.parametrize(
    ("toy", "words"),
    [
        ("refuse", ["cannot read 'x': wanted 3 rows, found 2. Bring 3 rows."]),
        ("crash", ["stage 'dump' failed", "LookupError: no such row", "log.txt"]),
        ("disk_full", ["the disk is full", "GiB free", "Free space"]),
        ("memory", ["stage 'dump' ran out of memory", "GiB", "row_cap"]),
        ("nothing", ["ended without any output"]),
    ],
)
def test_failures_are_worded(new_stage: NewStage, toy: str, words: list[str]) -> None:
    root = new_stage("x")
    root.ask("dump")
    code, errors = run(root, toy)
    status = root.status()
    assert (code, status["state"]) == (1, "failed")
    for word in words:
        assert word in status["message"]
    assert status["message"] in errors
    assert not (root.output / "stage.json").exists()
    assert not list(root.output.rglob("*.partial"))


@pytest.mark.parametrize(
    ("deadline", "word"),
    [
        ("2020-01-01T00:00:00Z", "deadline 2020-01-01T00:00:00Z came"),
        ("2099-01-01T00:00:00Z", "got SIGTERM"),
    ],
    ids=["late", "early"],
)
def test_sigterm_ends_a_stage_that_is_in_c_code(
    new_stage: NewStage, deadline: str, word: str
) -> None:
    root = new_stage("x")
    root.ask("dump", deadline=deadline)
    child = start(root, "busy")
    path = root.output / "attempts/1/status.json"
    while not path.exists() or root.status()["phase"] != "busy":
        assert child.poll() is None
        time.sleep(0.05)
    child.terminate()
    child.communicate()
    assert child.returncode == 1
    assert root.status()["state"] == "failed"
    assert word in root.status()["message"]
    assert not (root.output / "stage.json").exists()


def test_a_terminated_worker_is_not_the_stage(new_stage: NewStage) -> None:
    root = new_stage("x")
    root.ask("dump")
    code, errors = run(root, "terminated_worker")
    assert code == 0, errors
    assert root.document()["facts"]["worker_exit"] == -15


def given_output(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"1234")
    outputs = [{"name": "a.bin", "bytes": 4, "sha256": hashlib.sha256(b"1234").hexdigest()}]
    (folder / "stage.json").write_text(json.dumps({"outputs": outputs}))
    return folder


def test_inputs_are_listed_in_stage_json(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("x")
    root.ask("dump", inputs={"weights": given_output(tmp_path / "weights")})
    assert run(root, "good")[0] == 0
    sha256 = hashlib.sha256(b"1234").hexdigest()
    wanted = {"stage": "weights", "name": "a.bin", "bytes": 4, "sha256": sha256}
    assert root.document()["inputs"] == [wanted]


@pytest.mark.parametrize("found", [b"123", None], ids=["short", "missing"])
def test_an_input_that_broke_its_promise_is_named(
    new_stage: NewStage, tmp_path: Path, found: bytes | None
) -> None:
    folder = given_output(tmp_path / "weights")
    root = new_stage("x")
    root.ask("dump", inputs={"weights": folder})
    if found is None:
        (folder / "a.bin").unlink()
    else:
        (folder / "a.bin").write_bytes(found)
    assert run(root, "good")[0] == 1
    message = root.status()["message"]
    assert "input 'a.bin' of stage 'weights'" in message
    assert "force_stages=weights" in message
    assert ("is not there" if found is None else "has 3 bytes") in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version is 2, this image reads 1"),
        ({"key": "abc"}, "key is 'abc', wanted 64 hexadecimal digits"),
        ({"stage": "../dump"}, "stage is '../dump'"),
        (
            {"parameters": {"precision": "int4"}},
            f"precision is 'int4', wanted one of {', '.join(PRECISIONS)}",
        ),
        ({"run_id": ...}, "field 'run_id' is missing"),
        ({"source": {"kind": "ftp"}}, "source kind is 'ftp', wanted folder, rclone, urls or uri"),
        ({"deadline": "tomorrow"}, "tomorrow"),
    ],
)
def test_a_request_it_cannot_use_is_refused(
    new_stage: NewStage, change: dict[str, Any], words: str
) -> None:
    root = new_stage("x")
    root.ask("dump")
    path = root.root / "request.json"
    request = json.loads(path.read_text())
    for name, value in change.items():
        if value is ...:
            del request[name]
        elif isinstance(value, dict) and isinstance(request[name], dict):
            request[name].update(value)
        else:
            request[name] = value
    path.write_text(json.dumps(request))
    code, errors = run(root, "good")
    assert code == 1
    assert str(path) in errors
    assert words in errors
    assert not (root.output / "stage.json").exists()


def test_an_unknown_stage_is_refused_with_those_there_are(new_stage: NewStage) -> None:
    root = new_stage("x")
    root.ask("polish")
    assert root.run().returncode == 1
    assert "cannot run stage 'polish'" in root.status()["message"]
    assert "calibrate, dataset, dump" in root.status()["message"]

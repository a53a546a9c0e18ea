"""Stages of one key from two hosts: the first one's are kept, the other is told who made which."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import made_run
import pytest
from module_runner import run_module

import dlrm_artifact
import dlrm_result_info
import dlrm_storage_restore
import dlrm_storage_stages_info

STAGE = json.loads(
    (made_run.REPOSITORY / "docs" / "contracts" / "examples" / "stage.json").read_text()
)
FIRST, SECOND = "20260131T120000Z-0a1b2c", "20260201T120000Z-ffffff"
OWNER = "1000:1000"


class Node:
    """A storage node on this machine, and hosts that bring stages to it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.root = folder / "node"
        self.root.mkdir()
        self.capsys = capsys

    def offer(self, host: str, content: bytes, run_id: str = FIRST, **more: Any) -> dict[str, Any]:
        """A finished stage of one file, as the host offers it."""
        folder = self.folder / host / "stages" / STAGE["stage"] / STAGE["key"][:16]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.pt").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        output = {"name": "model.pt", "bytes": len(content), "sha256": digest}
        document = {**STAGE, "run_id": run_id, "outputs": [output], **more}
        return {"document": document, "folder": str(folder), "files": True, "source": None}

    def pull(self, host: str, stage: dict[str, Any], **more: Any) -> dict[str, Any]:
        run_file = self.folder / host / "summary.txt"
        run_file.write_text(f"measured on {host}")
        promise = {
            "name": "performance/summary.txt",
            "path": str(run_file),
            "bytes": run_file.stat().st_size,
            "sha256": hashlib.sha256(run_file.read_bytes()).hexdigest(),
        }
        answer = run_module(
            dlrm_artifact,
            self.capsys,
            storage_root=str(self.root),
            host=host,
            run_id=stage["document"]["run_id"],
            stages=[stage],
            run_files=[promise],
            **more,
        )
        assert not answer.get("failed"), answer
        return answer

    def bring(self, host: str, content: bytes, run_id: str = FIRST, **more: Any) -> dict[str, Any]:
        return self.pull(host, self.offer(host, content, run_id), **more)

    def kept(self) -> tuple[str, bytes]:
        """(the run that made what other hosts get, its file)."""
        folder = self.root / "stages" / STAGE["stage"] / STAGE["key"][:16]
        document = json.loads((folder / "stage.json").read_text())
        [output] = document["outputs"]
        content = (folder / "model.pt").read_bytes()
        assert output["sha256"] == hashlib.sha256(content).hexdigest()
        return document["run_id"], content

    def keeps_nothing(self) -> bool:
        return not list(self.root.glob("stages/*/*/stage.json"))


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def test_other_bytes_under_a_key_are_refused_and_both_makers_named(node: Node) -> None:
    node.bring("arm-01", b"sound")
    answer = node.bring("arm-02", b"other", SECOND)
    said = str(answer["refused"])
    for maker in (f"run {FIRST} on arm-01", f"run {SECOND} on arm-02"):
        assert maker in said, answer
    assert f"remove '{node.root}/stages/{STAGE['stage']}/{STAGE['key'][:16]}'" in said
    assert node.kept() == (FIRST, b"sound")


def test_the_files_of_a_kept_stage_are_not_replaced(node: Node) -> None:
    node.bring("arm-01", b"sound")
    node.bring("arm-02", b"other", SECOND)
    assert node.kept() == (FIRST, b"sound")


def test_a_key_that_begins_like_another_takes_nothing_from_it(node: Node) -> None:
    node.bring("arm-01", b"sound")
    key = STAGE["key"][:16] + "0" * 48
    node.pull("arm-02", node.offer("arm-02", b"sound", SECOND, key=key))
    found = json.loads(next(node.root.glob("stages/*/*/stage.json")).read_text())
    assert found["key"] == STAGE["key"]


def test_a_host_whose_stage_is_refused_still_brings_its_run(node: Node) -> None:
    node.bring("arm-01", b"sound")
    answer = node.bring("arm-02", b"other", SECOND)
    assert len(answer["refused"]) == 1
    brought = node.root / "runs" / SECOND / "arm-02" / "performance" / "summary.txt"
    assert brought.read_text() == "measured on arm-02"
    other = hashlib.sha256(b"other").hexdigest()
    assert not list(node.root.rglob(other)), "a refused stage fills no disk"


def test_equal_bytes_of_another_host_change_nothing(node: Node) -> None:
    node.bring("arm-01", b"sound")
    answer = node.bring("arm-02", b"sound", SECOND)
    assert answer["refused"] == []
    assert node.kept() == (FIRST, b"sound")


def test_what_an_earlier_release_kept_is_named_by_its_run(node: Node) -> None:
    node.bring("arm-01", b"sound")
    next(node.root.glob("stages/*/*.maker.json")).unlink()
    [said] = node.bring("arm-02", b"other", SECOND)["refused"]
    assert f"run {FIRST} on a host that was not noted" in said
    node.bring("arm-02", b"sound", SECOND, makers=["arm-02"])
    assert node.kept() == (FIRST, b"sound")


def test_files_that_are_lost_may_be_made_anew_with_other_bytes(node: Node) -> None:
    node.bring("arm-01", b"sound")
    stored = node.root / "store" / "sha256"
    next(path for path in stored.glob("*/*") if path.read_bytes() == b"sound").unlink()
    assert node.bring("arm-02", b"other", SECOND)["refused"] == []
    assert node.kept() == (SECOND, b"other")


def test_only_named_makers_prepare_for_others(node: Node) -> None:
    answer = node.bring("arm-01", b"sound", makers=["cheap-01", "storage-01"])
    assert answer["refused"] == []
    assert node.keeps_nothing()
    assert (node.root / "runs" / FIRST / "arm-01" / "performance" / "summary.txt").is_file()
    node.bring("cheap-01", b"sound", SECOND, makers=["cheap-01", "storage-01"])
    assert node.kept() == (SECOND, b"sound")


def test_a_named_maker_replaces_what_another_host_had_made(node: Node) -> None:
    """Its stages were kept before anybody was named."""
    node.bring("arm-01", b"other")
    assert node.bring("cheap-01", b"sound", SECOND, makers=["cheap-01"])["refused"] == []
    assert node.kept() == (SECOND, b"sound")
    assert len(node.bring("arm-01", b"other", makers=["cheap-01"])["refused"]) == 1
    assert node.kept() == (SECOND, b"sound")


def test_check_mode_refuses_the_same_and_writes_nothing(node: Node) -> None:
    node.bring("arm-01", b"sound")
    before = sorted(str(path) for path in node.root.rglob("*"))
    offer = node.offer("arm-02", b"other", SECOND)
    answer = node.pull("arm-02", offer, _ansible_check_mode=True)
    assert len(answer["refused"]) == 1
    assert sorted(str(path) for path in node.root.rglob("*")) == before


def found(node: Node, makers: list[str]) -> dict[str, Any]:
    return run_module(
        dlrm_storage_stages_info,
        node.capsys,
        storage_root=str(node.root),
        catalogue=made_run.CATALOGUE,
        request=made_run.request(),
        makers=makers,
    )


def bring_all(node: Node, host: str) -> None:
    """Every stage that other hosts may restore, as a host that measured brings them."""
    root = node.folder / f"{host}-root"
    made_run.make_root(root)
    offers = dlrm_result_info.read({**made_run.arguments(root), "what": "run"}, "aarch64")
    answer = run_module(
        dlrm_artifact,
        node.capsys,
        storage_root=str(node.root),
        host=host,
        run_id=made_run.RUN_ID,
        stages=offers["stages"],
    )
    assert not answer.get("failed"), answer


def test_a_restore_says_which_host_made_it(node: Node, tmp_path: Path) -> None:
    bring_all(node, "cheap-01")
    offer = found(node, [])["stages"]
    host = tmp_path / "host"
    (host / "incoming").mkdir(parents=True)
    for stored in (node.root / "store" / "sha256").glob("*/*"):
        (host / "incoming" / stored.name).write_bytes(stored.read_bytes())
    answer = run_module(
        dlrm_storage_restore,
        node.capsys,
        root=str(host),
        owner=OWNER,
        stages=offer,
        node="storage-01",
    )
    assert not answer.get("failed"), answer
    assert answer["lines"]
    for line in answer["lines"]:
        assert line.endswith("made by run 20260130T120000Z-ffffff on host cheap-01"), line


def test_a_host_gets_only_what_named_makers_made(node: Node) -> None:
    bring_all(node, "cheap-01")
    assert found(node, ["cheap-01", "storage-01"])["missing"] == []
    for path in node.root.glob("stages/calibrate/*.maker.json"):
        path.write_text(path.read_text().replace("cheap-01", "arm-01"))
    assert found(node, [])["missing"] == []
    missing = found(node, ["cheap-01", "storage-01"])["missing"]
    assert missing == ["calibrate (kept is what arm-01 made, and only cheap-01, storage-01 may)"]

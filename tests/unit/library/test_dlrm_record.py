"""Modules dlrm_artifact, dlrm_record and dlrm_record_info: from a host's root to run.json."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from made_run import IMAGE, REPOSITORY, RUN_ID, arguments, make_root, request
from module_runner import run_module

import dlrm_artifact
import dlrm_record
import dlrm_record_info
import dlrm_result_info

SCHEMA = json.loads((REPOSITORY / "docs/contracts/run.schema.json").read_text())


class Fleet:
    """A host and a storage node on this machine; modules run in process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = folder / "host"
        self.storage = folder / "storage"
        self.storage.mkdir()
        self.capsys = capsys
        self.run_dir = self.storage / "runs" / RUN_ID / "arm-01"

    def fetch(self, **more: Any) -> dict[str, Any]:
        found = dlrm_result_info.read({**arguments(self.root), "what": "run"}, "aarch64")
        return run_module(
            dlrm_artifact,
            self.capsys,
            storage_root=str(self.storage),
            host="arm-01",
            run_id=RUN_ID,
            artifacts=found["artifacts"],
            run_files=found["run_files"],
            **more,
        )

    def record(self, **more: Any) -> dict[str, Any]:
        given = {
            "storage_root": str(self.storage),
            "run_id": RUN_ID,
            "host": "arm-01",
            "request": request(),
            "request_sha256": "d" * 64,
            "controller": "ops@controller",
            "opened_at": "2026-01-31T12:00:00Z",
            "image": {"name": IMAGE, "id": "sha256:1"},
        }
        return run_module(dlrm_record, self.capsys, **{**given, **more})

    def records(self) -> dict[str, Any]:
        return run_module(dlrm_record_info, self.capsys, storage_root=str(self.storage))


@pytest.fixture
def fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fleet:
    made = Fleet(tmp_path, capsys)
    make_root(made.root)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_fetch_brings_artifacts_and_run_files(fleet: Fleet) -> None:
    result = fleet.fetch()
    assert result["changed"] is True
    assert result["reused"] == 0
    # Four artifacts and thirteen files of the run.
    assert len(result["lines"]) == 17
    assert (fleet.storage / "artifacts/arm-01/model/aarch64_dlrm_int8.pt").read_bytes() == b"int8"
    assert (fleet.run_dir / "performance/mlperf_log_summary.txt").is_file()
    sizes = [path.stat().st_size for path in fleet.run_dir.rglob("*") if path.is_file()]
    assert result["transferred_bytes"] == sum(sizes) + len(b"densesparsefp32int8")


def test_fetching_again_changes_nothing(fleet: Fleet) -> None:
    fleet.fetch()
    again = fleet.fetch(_ansible_diff=True)
    assert again["changed"] is False
    assert again["transferred_bytes"] == 0
    assert again["reused"] == 17
    assert again["diff"]["before"] == again["diff"]["after"]


def test_fetch_in_check_mode_says_the_same_and_writes_nothing(fleet: Fleet) -> None:
    planned = fleet.fetch(_ansible_check_mode=True, _ansible_diff=True)
    assert tree(fleet.storage) == {}
    real = fleet.fetch(_ansible_diff=True)
    assert planned["changed"] is real["changed"] is True
    assert planned["lines"] == real["lines"]
    assert planned["diff"] == real["diff"]
    assert real["diff"]["before"] == ""
    assert "aarch64_dlrm_int8.pt" in real["diff"]["after"]


def test_a_flipped_byte_fails_the_module_in_words(fleet: Fleet) -> None:
    (path,) = fleet.root.glob("stages/calibrate/*/dlrm_int8.pt")
    path.write_bytes(b"int9")
    result = fleet.fetch()
    assert result["failed"] is True
    assert result["msg"].startswith(f"refused '{path}': its stage.json promises sha256 ")
    assert not (fleet.storage / "artifacts/arm-01/model/aarch64_dlrm_int8.pt").exists()


def test_the_record_validates_and_passes(fleet: Fleet) -> None:
    fleet.fetch()
    result = fleet.record()
    assert result["changed"] is True
    assert result["path"] == str(fleet.run_dir)
    written = json.loads((fleet.run_dir / "run.json").read_text())
    assert written == result["run"]
    Draft202012Validator(SCHEMA).validate(written)
    assert written["verdict"]["reasons"] == []
    assert written["verdict"]["status"] == "passed"
    assert written["performance"]["samples_per_second_per_vcpu"] == pytest.approx(18309.5 / 2)
    assert [stage["stage"] for stage in written["stages"]] == [
        "repositories",
        "weights",
        "dataset",
        "dump",
        "calibrate",
        "accuracy",
        "performance",
    ]
    assert written["stages"][-1]["made_by_run"] == RUN_ID
    assert written["stages"][0]["made_by_run"] != RUN_ID


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"published": None, "published_by": "its metadata agrees"}, True),
        ({"published": True, "published_by": "md5 of every file"}, True),
        ({"published": 1, "published_by": "md5"}, False),
        ({"published": True, "published_by": "two\nlines"}, False),
        ({"published": False}, True),
    ],
)
def test_the_record_says_whether_files_are_mlcommons_own(
    fleet: Fleet, said: dict[str, Any], taken: bool
) -> None:
    fleet.fetch()
    path = fleet.run_dir / "stages/dataset.json"
    document = json.loads(path.read_text())
    document["facts"].update(said)
    path.unlink()
    path.write_text(json.dumps(document))
    written = fleet.record()["run"]
    Draft202012Validator(SCHEMA).validate(written)
    if not taken:
        (reason,) = written["verdict"]["reasons"]
        assert reason.startswith("cannot use stage.json of dataset: 'publish")
        return
    (dataset,) = [stage for stage in written["stages"] if stage["stage"] == "dataset"]
    assert {name: dataset.get(name) for name in said} == said
    assert [stage for stage in written["stages"] if "published" in stage] == [dataset]


def test_a_killed_writer_of_the_sums_does_not_change_the_record(fleet: Fleet) -> None:
    fleet.fetch()
    first = fleet.record()["run"]
    (fleet.run_dir / "SHA256SUMS").rename(fleet.run_dir / "SHA256SUMS.99.partial")
    again = fleet.record()
    assert (again["changed"], again["run"]) == (True, first)
    assert (fleet.run_dir / "SHA256SUMS").is_file()


def test_the_storage_node_judges_as_the_host_did(fleet: Fleet) -> None:
    on_host = dlrm_result_info.read({**arguments(fleet.root), "what": "run"}, "aarch64")
    fleet.fetch()
    recorded = fleet.record()["run"]
    for name in ("performance", "accuracy", "verdict", "comparability"):
        assert recorded[name] == json.loads(json.dumps(on_host[name]))


def test_checksums_are_checked_by_sha256sum_and_cover_every_file(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=fleet.run_dir, capture_output=True).returncode == 0
    listed = {
        line.split("  ", 1)[1] for line in (fleet.run_dir / "SHA256SUMS").read_text().splitlines()
    }
    assert listed == set(tree(fleet.run_dir)) - {"SHA256SUMS"}
    modes = {path.stat().st_mode & 0o777 for path in fleet.run_dir.rglob("*") if path.is_file()}
    assert modes == {0o444}


def test_recording_again_changes_nothing(fleet: Fleet) -> None:
    fleet.fetch()
    first = fleet.record()
    before = tree(fleet.run_dir)
    again = fleet.record(controller="somebody@else", _ansible_diff=True)
    assert again["changed"] is False
    assert again["run"] == first["run"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert tree(fleet.run_dir) == before


def test_other_content_is_refused_and_the_record_stays(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    path = fleet.run_dir / "performance/mlperf_log_summary.txt"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("18309.5", "99999.9"))
    before = tree(fleet.run_dir)
    result = fleet.record()
    assert result["failed"] is True
    assert "it was recorded at" in result["msg"]
    assert "other values of files, performance" in result["msg"]
    assert tree(fleet.run_dir) == before


def test_a_record_whose_checksums_were_not_written_is_completed(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    sums = (fleet.run_dir / "SHA256SUMS").read_text()
    (fleet.run_dir / "SHA256SUMS").unlink()
    assert fleet.record()["changed"] is True
    assert (fleet.run_dir / "SHA256SUMS").read_text() == sums


def test_check_mode_returns_the_record_and_writes_nothing(fleet: Fleet) -> None:
    fleet.fetch()
    before = tree(fleet.storage)
    result = fleet.record(_ansible_check_mode=True, _ansible_diff=True)
    assert result["changed"] is True
    assert result["run"]["verdict"]["status"] == "passed"
    assert result["diff"]["before"] == ""
    assert '"status": "passed"' in result["diff"]["after"]
    assert tree(fleet.storage) == before


def test_an_unreachable_host_is_recorded_too(fleet: Fleet) -> None:
    failure = {"phase": "unreachable", "message": "no route to host"}
    run = fleet.record(failure=failure, image={})["run"]
    Draft202012Validator(SCHEMA).validate(run)
    assert run["verdict"]["status"] == "unreachable"
    assert run["verdict"]["reasons"] == ["unreachable: no route to host"]
    assert run["host"] == {"name": "arm-01"}
    assert (run["performance"], run["accuracy"], run["files"]) == (None, None, [])


def test_a_broken_stage_document_is_a_reason(fleet: Fleet) -> None:
    fleet.fetch()
    path = fleet.run_dir / "stages/dump.json"
    path.chmod(0o644)
    path.write_text('{"schema_version": 1,')
    run = fleet.record()["run"]
    Draft202012Validator(SCHEMA).validate(run)
    assert run["verdict"]["status"] == "failed"
    assert "it is empty or truncated after 21 bytes" in run["verdict"]["reasons"][0]


@pytest.mark.parametrize("change", [{"host": "../arm-01"}, {"run_id": ".."}])
def test_names_that_leave_the_storage_are_refused(fleet: Fleet, change: dict[str, str]) -> None:
    result = fleet.record(**change)
    assert result["failed"] is True
    assert "it becomes a folder's name" in result["msg"]


def test_the_newest_record_of_each_host(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    failure = {"phase": "unreachable", "message": "gone"}
    later = {"run_id": "20260201T120000Z-000000", "opened_at": "2026-02-01T12:00:00Z"}
    fleet.record(host="arm-02", failure=failure, **later)
    fleet.record(failure=failure, **later)
    result = fleet.records()
    assert [(run["host"]["name"], run["run_id"]) for run in result["newest"]] == [
        ("arm-01", "20260201T120000Z-000000"),
        ("arm-02", "20260201T120000Z-000000"),
    ]
    assert [run["status"] for run in result["all_runs"]] == ["unreachable", "unreachable", "passed"]
    assert result["all_runs"][2]["samples_per_second"] == 18309.5
    assert result["unreadable"] == []


def test_a_broken_record_is_said_and_hides_no_other(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    broken = fleet.storage / "runs/20260301T120000Z-000000/arm-09"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("")
    result = fleet.records()
    assert len(result["newest"]) == 1
    assert "arm-09/run.json" in result["unreadable"][0]


def test_no_records_at_all(fleet: Fleet) -> None:
    assert fleet.records()["newest"] == []


def test_one_record_is_read_by_name(fleet: Fleet) -> None:
    fleet.fetch()
    recorded = fleet.record()
    wanted = {"storage_root": str(fleet.storage), "run_id": RUN_ID, "host": "arm-01"}
    found = run_module(dlrm_record_info, fleet.capsys, **wanted)
    assert found["run"] == recorded["run"]
    assert found["path"] == str(fleet.run_dir / "run.json")
    assert found["summary"] == (fleet.run_dir / "performance/mlperf_log_summary.txt").read_text()


def test_a_host_that_was_no_part_of_the_run_has_no_record(fleet: Fleet) -> None:
    fleet.fetch()
    fleet.record()
    wanted = {"storage_root": str(fleet.storage), "run_id": RUN_ID, "host": "arm-02"}
    refused = run_module(dlrm_record_info, fleet.capsys, **wanted)
    assert refused["failed"] is True
    assert f"no record of run {RUN_ID} for host arm-02" in refused["msg"]
    assert "--limit" in refused["msg"]

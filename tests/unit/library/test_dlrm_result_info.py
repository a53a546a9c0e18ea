"""Module dlrm_result_info on a root of finished stages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_run import LOGS, RUN_ID, arguments, make_root
from module_runner import run_module

import dlrm_result_info


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_root(tmp_path / "dlrm")
    return tmp_path / "dlrm"


def read(root: Path, **changes: Any) -> dict[str, Any]:
    return dlrm_result_info.read({**arguments(root), "what": "run", **changes}, "aarch64")


def stage_path(root: Path, stage: str) -> Path:
    (found,) = (root / "stages" / stage).iterdir()
    return found


def test_a_finished_run_passes(root: Path) -> None:
    result = read(root)
    assert result["verdict"]["reasons"] == []
    assert result["verdict"]["status"] == "passed"
    assert result["verdict"]["grade"] == "quiet"
    assert result["performance"]["samples_per_second"] == 18309.5
    assert result["performance"]["samples_per_second_per_core"] == pytest.approx(18309.5 / 2)
    assert result["accuracy"]["soft_auc"] == 0.9995
    assert result["comparability"]["marks"] == ["demo: not comparable"]
    assert result["summary"] == (LOGS / "valid" / "mlperf_log_summary.txt").read_text()


def test_the_four_artifacts_under_the_seeds_names(root: Path) -> None:
    artifacts = read(root)["artifacts"]
    assert [artifact["link"] for artifact in artifacts] == [
        "data/terabyte_processed_test_v2_dense.bin",
        "data/terabyte_processed_test_v2_label_sparse.bin",
        "model/dlrm-multihot-pytorch.pt",
        "model/aarch64_dlrm_int8.pt",
    ]
    for artifact in artifacts:
        assert Path(artifact["path"]).stat().st_size == artifact["bytes"]
        assert len(artifact["sha256"]) == 64
    assert artifacts[3]["name"] == "aarch64_dlrm_int8.pt"
    assert artifacts[3]["path"].endswith("/dlrm_int8.pt")


def test_fp32_has_no_int8_artifact(tmp_path: Path) -> None:
    make_root(tmp_path / "dlrm", "fp32")
    result = dlrm_result_info.read(
        {**arguments(tmp_path / "dlrm", "fp32"), "what": "run"}, "aarch64"
    )
    assert len(result["artifacts"]) == 3
    assert result["verdict"]["status"] == "passed"


def test_run_files_leave_the_big_accuracy_log_on_the_host(root: Path) -> None:
    files = read(root)["run_files"]
    assert {file["name"] for file in files} == {
        "host.json",
        "stages/repositories.json",
        "stages/weights.json",
        "stages/dataset.json",
        "stages/dump.json",
        "stages/calibrate.json",
        "stages/accuracy.json",
        "stages/performance.json",
        "performance/mlperf_log_summary.txt",
        "performance/mlperf_log_detail.txt",
        "accuracy/mlperf_log_summary.txt",
        "accuracy/mlperf_log_detail.txt",
        "accuracy/accuracy.txt",
    }
    for file in files:
        assert Path(file["path"]).stat().st_size == file["bytes"]


def test_a_run_stopped_after_accuracy_is_interrupted(tmp_path: Path) -> None:
    make_root(tmp_path / "dlrm", until="accuracy")
    result = read(tmp_path / "dlrm")
    assert result["verdict"]["status"] == "interrupted"
    assert result["performance"] is None
    assert result["accuracy"]["passed"] is True
    assert result["summary"] == ""
    assert len(result["artifacts"]) == 4


def test_an_empty_root_is_missing(tmp_path: Path) -> None:
    result = read(tmp_path)
    assert result["verdict"]["status"] == "missing"
    assert (result["artifacts"], result["run_files"]) == ([], [])


def test_another_run_did_not_measure_this(root: Path) -> None:
    result = read(root, run_id="20260201T000000Z-000000")
    assert result["verdict"]["status"] == "interrupted"
    assert result["performance"] is None


def test_without_a_run_the_artifacts_are_there_alone(root: Path) -> None:
    result = read(root, run_id="")
    assert len(result["artifacts"]) == 4
    assert result["performance"] is None
    assert "stages/performance.json" not in {file["name"] for file in result["run_files"]}


def test_a_cut_output_is_said(root: Path) -> None:
    path = stage_path(root, "performance") / "mlperf_log_detail.txt"
    path.write_bytes(path.read_bytes()[:-1])
    verdict = read(root)["verdict"]
    assert verdict["status"] == "interrupted"
    assert (
        "Stage 'performance' is damaged on the host: output 'mlperf_log_detail.txt' has"
        in (verdict["reasons"][0])
    )


def test_a_missing_data_folder_is_a_verdict_not_a_crash(root: Path) -> None:
    changed = arguments(root)["request"]
    changed["sources"]["data_source"] = {"kind": "folder", "path": "/nowhere"}
    result = read(root, request=changed)
    assert result["verdict"]["status"] == "missing"
    assert "cannot use the folder '/nowhere'" in result["verdict"]["reasons"][0]


def test_the_module_reads_only(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, tmp_path / "before")
    result = run_module(dlrm_result_info, capsys, what="accuracy", **arguments(root))
    assert result["changed"] is False
    assert result["accuracy"]["auc"] == 0.8031
    assert "artifacts" not in result
    after = {path.relative_to(root): path.stat().st_size for path in root.rglob("*.json")}
    before = {
        path.relative_to(tmp_path / "before"): path.stat().st_size
        for path in (tmp_path / "before").rglob("*.json")
    }
    assert after == before


def test_a_catalogue_of_another_version_is_an_error_in_words(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {**arguments(root), "catalogue": {"schema_version": 2, "stages": []}}
    result = run_module(dlrm_result_info, capsys, **wrong)
    assert result["failed"] is True
    assert "schema_version must be 1, found 2" in result["msg"]


def test_a_tuned_run_takes_its_figures_along(tmp_path: Path) -> None:
    root = tmp_path / "dlrm"
    make_root(root, tune=True)
    result = read(root, request=arguments(root, tune=True)["request"])
    assert result["verdict"]["status"] == "passed"
    names = {file["name"] for file in result["run_files"]}
    assert {"stages/tune.json", "tune/choice.json", "tune/tuning.json"} <= names
    # No other host can use it, so no host restores it.
    assert "tune" not in {stage["document"]["stage"] for stage in result["stages"]}
    assert len(result["artifacts"]) == 4


def test_what_was_tuned_on_another_machine_type_is_not_found(tmp_path: Path) -> None:
    root = tmp_path / "dlrm"
    make_root(root, tune=True)
    host = json.loads((root / "host.json").read_text())
    host["cpu"]["allowed_threads"] = 4
    (root / "host.json").write_text(json.dumps(host))
    result = read(root, request=arguments(root, tune=True)["request"])
    assert result["verdict"]["status"] == "missing"


def test_performance_belongs_to_this_run(root: Path) -> None:
    document = json.loads((stage_path(root, "performance") / "stage.json").read_text())
    assert document["run_id"] == RUN_ID

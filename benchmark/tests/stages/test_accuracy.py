"""Stage accuracy under the real LoadGen, with toy engines."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offline_support import BINS, LENGTHS, run_with, write_dataset, write_weights
from sklearn.metrics import roc_auc_score

from conftest import StageRoot

pytestmark = pytest.mark.measures

NewStage = Callable[[str], StageRoot]
SAMPLES = LENGTHS * 5


def ask(root: StageRoot, tmp_path: Path, **parameters: Any) -> Path:
    """request.json for int8 over a small planted data set; returns its folder."""
    dataset = write_dataset(tmp_path / "dataset", SAMPLES)
    weights = write_weights(tmp_path / "calibrate", "dlrm_int8.pt")
    root.ask("accuracy", {"dataset": dataset, "calibrate": weights}, **parameters)
    return dataset


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageRoot, Path]:
    """One finished run of an engine that gives the planted probabilities."""
    folder = tmp_path_factory.mktemp("accuracy")
    root = StageRoot(folder / "root")
    dataset = ask(root, folder)
    done = run_with("ToyEngine", root)
    assert done.returncode == 0, done.stderr
    return root, dataset


def test_auc_is_that_of_every_row(scored: tuple[StageRoot, Path]) -> None:
    root, dataset = scored
    planted = np.load(dataset / "planted_probability.npy")
    labels = np.fromfile(dataset / BINS[1], np.int32).reshape(-1, 215)[:, 0]
    facts = root.document()["facts"]
    assert facts["samples"] == len(SAMPLES)
    assert facts["pairs"] == facts["pairs_computed"] == sum(SAMPLES)
    assert abs(facts["auc"] - roc_auc_score(labels, planted.astype(np.float64))) < 1e-9
    assert facts["metric"] == "soft_auc"
    assert facts["soft_auc"] == facts["soft_auc_fp32"]
    assert facts["retention"] == 1.0
    assert facts["passed"] is True


def test_the_log_is_whole_and_named_by_its_hash(scored: tuple[StageRoot, Path]) -> None:
    root, _ = scored
    log = root.output / "mlperf_log_accuracy.json"
    records = json.loads(log.read_text())
    assert sorted(r["qsl_idx"] for r in records) == list(range(len(SAMPLES)))
    assert all(len(r["data"]) == 16 * SAMPLES[r["qsl_idx"]] for r in records)
    text = (root.output / "accuracy.txt").read_text()
    assert text.startswith("AUC=")
    assert f"hash={hashlib.sha256(log.read_bytes()).hexdigest()}" in text
    promised = {o["name"]: o["sha256"] for o in root.document()["outputs"]}
    assert promised["mlperf_log_accuracy.json"] in text
    assert set(promised) == {
        "accuracy.txt",
        "mlperf_log_accuracy.json",
        "mlperf_log_detail.txt",
        "mlperf_log_summary.txt",
        "user.conf",
    }


def test_the_detail_log_has_no_error(scored: tuple[StageRoot, Path]) -> None:
    root, _ = scored
    detail = (root.output / "mlperf_log_detail.txt").read_text()
    assert '"effective_test_mode", "value": "AccuracyOnly"' in detail
    assert '"key": "error_' not in detail
    assert '"effective_qsl_rng_seed", "value": 1780908523862526354' in detail


def test_sets_are_loaded_one_after_the_other(
    new_stage: NewStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with official data, which has more samples than LoadGen's set of 204,800.
    monkeypatch.setenv("SET_SAMPLES", "7")
    root = new_stage("accuracy")
    ask(root, tmp_path)
    done = run_with("ToyEngine", root)
    assert done.returncode == 0, done.stderr
    facts = root.document()["facts"]
    assert (facts["samples"], facts["pairs_computed"]) == (len(SAMPLES), sum(SAMPLES))
    assert facts["retention"] == 1.0
    # At most one set is in memory: at worst the seven longest of the thirty samples.
    assert facts["query_set_bytes"] <= 912 * sum(sorted(SAMPLES)[-7:])
    detail = (root.output / "mlperf_log_detail.txt").read_text()
    assert detail.count('"loaded_qsl_set"') == -(-len(SAMPLES) // 7)


def test_a_missed_target_is_a_finding_not_a_failure(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("accuracy")
    ask(root, tmp_path)
    done = run_with("Reversed", root)
    assert done.returncode == 0, done.stderr
    facts = root.document()["facts"]
    assert facts["passed"] is False
    assert facts["auc"] < 0.5
    assert facts["retention"] < 0.999


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        pytest.param("RowFault:kill", "was ended by SIGKILL", id="killed"),
        pytest.param("RowFault:raise", "RuntimeError: table 3 has no row 17", id="exception"),
        pytest.param("RowFault:poison", "scores are not finite", id="not a number"),
    ],
)
def test_a_failed_inference_ends_loadgens_run(
    new_stage: NewStage, tmp_path: Path, engine: str, words: str
) -> None:
    root = new_stage("accuracy")
    ask(root, tmp_path)
    done = run_with(engine, root)
    assert done.returncode == 1
    status = root.status()
    assert (status["state"], status["phase"]) == ("failed", "measuring")
    assert words in status["message"]
    assert "batch" in status["message"]
    assert not (root.output / "stage.json").exists()


def test_a_hung_run_ends_at_its_deadline(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("accuracy")
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    deadline = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    ask(root, tmp_path, deadline=deadline)
    done = run_with("RowFault:hang", root)
    assert done.returncode == 1
    assert f"its deadline {deadline} came before the run was done" in root.status()["message"]


def test_a_cut_bin_is_refused(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("accuracy")
    dataset = ask(root, tmp_path)
    # The sizes equal those in stage.json: only the trace shows the damage.
    path = dataset / BINS[0]
    path.write_bytes(path.read_bytes()[:-52])
    promised = json.loads((dataset / "stage.json").read_text())
    promised["outputs"][0]["bytes"] -= 52
    (dataset / "stage.json").write_text(json.dumps(promised))
    (root.root / "inputs" / "dataset").unlink()
    (root.root / "inputs" / "calibrate").unlink()
    root.ask("accuracy", {"dataset": dataset, "calibrate": tmp_path / "calibrate"})
    done = run_with("ToyEngine", root)
    assert done.returncode == 1
    assert f"'{root.root}/inputs/dataset/{BINS[0]}' is truncated" in root.status()["message"]

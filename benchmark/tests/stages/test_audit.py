"""TEST01: a performance run's logged answers against the accuracy run's, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from offline_support import LENGTHS, promise, run_with, write_dataset, write_weights

from conftest import StageRoot
from dlrm_bench.frame.errors import StageError
from dlrm_bench.measure.scorer import compare_answers
from dlrm_bench.network.arrays import Array

pytestmark = pytest.mark.measures

LOG = "mlperf_log_accuracy.json"


def write_log(path: Path, answers: list[tuple[int, Array]]) -> Path:
    """Write the log as LoadGen does."""
    records = [
        json.dumps({"seq_id": n, "qsl_idx": sample, "data": pairs.astype("<f4").tobytes().hex()})
        for n, (sample, pairs) in enumerate(answers)
    ]
    path.write_text("[\n" + ",\n".join(records) + "\n]\n")
    return path


def answers(sample: int) -> Array:
    return np.stack([np.linspace(0.1, 0.9, 5) + sample / 100, np.ones(5)], axis=1)


def test_equal_answers_are_equal_however_often(tmp_path: Path) -> None:
    accuracy = write_log(tmp_path / "accuracy", [(s, answers(s)) for s in range(9)])
    sampled = write_log(tmp_path / "sampled", [(s, answers(s)) for s in (4, 2, 4, 8)])
    found = compare_answers(sampled, accuracy)
    assert (found.records, found.samples, found.pairs) == (4, 3, 20)
    assert (found.differing, found.first_difference) == (0, -1)


def test_one_bit_is_a_difference(tmp_path: Path) -> None:
    accuracy = write_log(tmp_path / "accuracy", [(s, answers(s)) for s in range(9)])
    other = answers(4).astype("<f4")
    other.view(np.uint32)[3, 0] ^= 1
    sampled = write_log(tmp_path / "sampled", [(4, answers(4)), (4, other), (2, answers(2))])
    found = compare_answers(sampled, accuracy)
    assert (found.differing, found.first_difference) == (1, 4)


def test_logs_that_prove_nothing_are_refused(tmp_path: Path) -> None:
    accuracy = write_log(tmp_path / "accuracy", [(s, answers(s)) for s in range(3)])
    with pytest.raises(StageError, match="it holds no answer"):
        compare_answers(write_log(tmp_path / "empty", []), accuracy)
    with pytest.raises(StageError, match="the audited sample 7 is missing"):
        compare_answers(write_log(tmp_path / "unknown", [(7, answers(7))]), accuracy)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset, weights and the accuracy run's outputs."""
    folder = tmp_path_factory.mktemp("audit")
    write_dataset(folder / "dataset", LENGTHS)
    write_weights(folder / "calibrate", "dlrm_int8.pt")
    root = StageRoot(folder / "accuracy")
    root.ask("accuracy", {name: folder / name for name in ("dataset", "calibrate")})
    done = run_with("ToyEngine", root)
    assert done.returncode == 0, done.stderr
    promise(root.output, [LOG])
    return folder


@pytest.mark.parametrize(
    ("engine", "passed"),
    [
        pytest.param("ToyEngine:64:0.0001", True, id="same answers, other batches"),
        pytest.param("Reversed", False, id="other answers"),
    ],
)
def test_under_loadgen(measured: Path, tmp_path: Path, engine: str, passed: bool) -> None:
    root = StageRoot(tmp_path / "audit")
    inputs = {name: measured / name for name in ("dataset", "calibrate")}
    root.ask("audit", {**inputs, "accuracy": measured / "accuracy" / "output"}, audit="test01")
    done = run_with(engine, root)
    assert done.returncode == 0, done.stderr
    facts = root.document()["facts"]
    assert facts["passed"] is passed
    assert facts["compared_samples"] > 0
    assert facts["differing"] == (0 if passed else facts["compared_records"])
    said = (root.output / "verify_accuracy.txt").read_text()
    assert said.startswith("TEST01 PASS" if passed else "TEST01 FAIL")
    detail = (root.output / "mlperf_log_detail.txt").read_text()
    assert '"effective_accuracy_log_sampling_target", "value": 4096' in detail
    assert '"effective_accuracy_log_rng_seed", "value": 720381539243781796' in detail
    assert '"effective_test_mode", "value": "PerformanceOnly"' in detail
    assert '"key": "error_' not in detail
    assert "accuracy_log_sampling_target = 4096" in (root.output / "audit.config").read_text()

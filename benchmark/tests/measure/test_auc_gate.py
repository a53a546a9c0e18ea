"""What an accuracy run must reach, on labels and on planted probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.measure.auc_gate import check_enough, judge
from dlrm_bench.network.arrays import Array

KEPT = PRECISIONS["int8"].auc_gate
#: MLPerf's own figure for dlrm-v2-99.9.
TARGET = 0.8022969


def test_official_gate_is_on_auc() -> None:
    scores, labels = np.array([0.1, 0.9], np.float32), np.array([0, 1])
    assert judge(KEPT, False, TARGET, scores, labels, None)["passed"]
    found = judge(KEPT, False, TARGET - 1e-7, scores, labels, None)
    assert (found["metric"], found["target"], found["passed"]) == ("auc", 0.8022969, False)
    assert found["soft_auc"] is None


def test_a_share_of_its_own_moves_both_gates() -> None:
    p = steep(20000)
    assert judge(0.99, False, 0.8, p, drawn(p), None)["target"] == 0.795069
    found = judge(0.95, True, 0.5, p, drawn(p), p)
    assert found["target"] == 0.95 * found["soft_auc_fp32"]


def steep(pairs: int) -> Array:
    """Probabilities near 0 and 1: soft AUC of p against itself is well over 0.80."""
    return np.random.default_rng(6).beta(0.2, 0.4, pairs).astype(np.float32)


def drawn(p: Array) -> Array:
    """A label for each probability."""
    return (np.random.default_rng(9).random(len(p)) < p).astype(np.int8)


def test_demo_gate_wants_most_of_what_fp32_reaches() -> None:
    p = steep(20000)
    found = judge(KEPT, True, 0.5, p, drawn(p), p)
    assert found["passed"]
    assert found["retention"] == 1.0
    assert found["metric"] == "soft_auc"
    assert found["target"] == 0.999 * found["soft_auc_fp32"]
    noisy = p + np.random.default_rng(7).normal(0, 0.08, len(p)).astype(np.float32)
    found = judge(KEPT, True, 0.5, noisy, drawn(p), p)
    assert found["soft_auc"] > 0.80
    assert found["retention"] < 0.999
    assert not found["passed"]


def test_demo_gate_wants_080_however_weak_the_plant() -> None:
    p = np.random.default_rng(8).uniform(0.4, 0.6, 20000).astype(np.float32)
    found = judge(KEPT, True, 0.9, p, drawn(p), p)
    assert found["target"] == 0.80
    assert not found["passed"]


def logits(pairs: int, seed: int = 10) -> Array:
    """As the demo's weights give them: mean -2, standard deviation 1.7; soft AUC 0.85."""
    return np.random.default_rng(seed).normal(-2, 1.7, pairs)


def sigmoid(values: Array) -> Array:
    return (1 / (1 + np.exp(-values))).astype(np.float32)


def test_an_auc_stands_with_its_interval() -> None:
    p = sigmoid(logits(9600))
    found = judge(KEPT, True, 0.85, p, drawn(p), p)
    low, high = found["auc_interval"].values()
    assert (low + high) / 2 == pytest.approx(0.85)
    assert 0.015 < high - low < 0.025
    low, high = found["soft_auc_interval"].values()
    assert low < found["soft_auc"] < high
    assert 0.004 < high - low < 0.008


def test_the_gate_of_9600_pairs_is_decided_by_what_both_models_say_of_each_pair() -> None:
    values = logits(9600)
    p = sigmoid(values)
    int8 = sigmoid(values + np.random.default_rng(11).normal(0, 0.09, len(values)))
    gate = judge(KEPT, True, 0.85, int8, drawn(p), p)["gate"]
    assert gate["asked"] < gate["low"] < gate["high"]
    assert gate["high"] - gate["low"] < 0.001
    assert gate["pairs_needed"] < 9600


def test_a_hundred_pairs_decide_nothing() -> None:
    """Whatever interval they seem to have."""
    p = sigmoid(logits(100))
    found = judge(KEPT, True, 0.85, p, drawn(p), p)
    assert found["passed"]
    assert (found["gate"]["low"], found["gate"]["high"]) == (0.0, 1.0)
    assert found["gate"]["pairs_needed"] == 1000


def test_a_sure_miss_is_no_matter_of_pairs() -> None:
    p = sigmoid(logits(2000))
    gate = judge(KEPT, True, 0.15, -p, drawn(p), p)["gate"]
    assert gate["high"] < gate["asked"]


def test_a_gate_within_the_interval_is_said_with_the_pairs_that_tell() -> None:
    # Less spread logits: the soft AUC is 0.806.
    p = sigmoid(0.8 * logits(1200) - 0.4)
    gate = judge(KEPT, True, 0.8, p, drawn(p), p)["gate"]
    assert gate["low"] < gate["asked"] == 0.80 < gate["high"]
    assert gate["pairs_needed"] > 1200
    with pytest.raises(StageError, match=r"give [0-9]{4,} rows or more"):
        check_enough(p)


def test_too_few_pairs_are_refused_before_anything_is_measured() -> None:
    with pytest.raises(StageError) as refused:
        check_enough(sigmoid(logits(999)))
    said = str(refused.value)
    assert said.startswith("the 999 pairs that the click log gives are too few for the AUC gate: ")
    assert "fewer than 1000 pairs never tell. Half of the rows are scored: give 2000 rows" in said
    check_enough(sigmoid(logits(1000)))


def test_pairs_that_surely_miss_are_not_called_few() -> None:
    """More of them would not help; the accuracy run says so."""
    check_enough(np.full(5000, 0.5, np.float32))

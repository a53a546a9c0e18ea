"""What an accuracy run must reach, on labels and on planted probabilities."""

from __future__ import annotations

import numpy as np

from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.measure.auc_gate import judge
from dlrm_bench.network.arrays import Array

KEPT = PRECISIONS["int8"].auc_gate
#: MLPerf's own figure for dlrm-v2-99.9.
TARGET = 0.8022969


def test_official_gate_is_on_auc() -> None:
    scores = np.array([0.1, 0.9], np.float32)
    assert judge(KEPT, False, TARGET, scores, None)["passed"]
    found = judge(KEPT, False, TARGET - 1e-7, scores, None)
    assert (found["metric"], found["target"], found["passed"]) == ("auc", 0.8022969, False)
    assert found["soft_auc"] is None


def test_a_share_of_its_own_moves_both_gates() -> None:
    p = steep(20000)
    assert judge(0.99, False, 0.8, p, None)["target"] == 0.795069
    found = judge(0.95, True, 0.5, p, p)
    assert found["target"] == 0.95 * found["soft_auc_fp32"]


def steep(pairs: int) -> Array:
    """Probabilities near 0 and 1: soft AUC of p against itself is well over 0.80."""
    return np.random.default_rng(6).beta(0.2, 0.4, pairs).astype(np.float32)


def test_demo_gate_wants_most_of_what_fp32_reaches() -> None:
    p = steep(20000)
    found = judge(KEPT, True, 0.5, p, p)
    assert found["passed"]
    assert found["retention"] == 1.0
    assert found["metric"] == "soft_auc"
    assert found["target"] == 0.999 * found["soft_auc_fp32"]
    noisy = p + np.random.default_rng(7).normal(0, 0.08, len(p)).astype(np.float32)
    found = judge(KEPT, True, 0.5, noisy, p)
    assert found["soft_auc"] > 0.80
    assert found["retention"] < 0.999
    assert not found["passed"]


def test_demo_gate_wants_080_however_weak_the_plant() -> None:
    p = np.random.default_rng(8).uniform(0.4, 0.6, 20000).astype(np.float32)
    found = judge(KEPT, True, 0.9, p, p)
    assert found["target"] == 0.80
    assert not found["passed"]

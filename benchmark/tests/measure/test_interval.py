"""An AUC's interval, against the definition pair by pair and against fresh draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlrm_bench.measure.interval import around, influence, pairs_needed
from dlrm_bench.measure.scorer import auc, soft_auc
from dlrm_bench.network.arrays import Array


def drawn(pairs: int, seed: int) -> tuple[Array, Array]:
    """Click probabilities as the demo's, and labels drawn with them."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(2 - 1.7 * rng.standard_normal(pairs)))
    return p.astype(np.float32), (rng.random(pairs) < p).astype(np.int8)


def delong(scores: Array, labels: Array) -> float:
    """The standard error by the definition: structural components, pair by pair."""
    up, down = scores[labels == 1][:, None], scores[labels == 0][None, :]
    better = (up > down) + (up == down) / 2
    area = better.mean()
    by_up = np.square(better.mean(axis=1) - area).sum() / len(better) ** 2
    by_down = np.square(better.mean(axis=0) - area).sum() / better.shape[1] ** 2
    return math.sqrt(by_up + by_down)


@pytest.mark.parametrize("digits", [1, 8], ids=["many ties", "no ties"])
def test_labels_have_delongs_error(digits: int) -> None:
    p, labels = drawn(700, 1)
    scores = np.round(p, digits)
    deviations = influence(scores, labels)
    assert abs(deviations.sum()) < 1e-12
    assert math.sqrt(np.square(deviations).sum()) == pytest.approx(delong(scores, labels))


def test_weights_are_pairs_of_both_labels() -> None:
    """A pair of weight 1/4 adds what a positive quarter and three negative quarters add."""
    p = np.repeat(np.float32(0.25), 40)
    scores = np.random.default_rng(2).random(40).astype(np.float32)
    quarters = np.repeat(scores, 4)
    labels = np.tile(np.array([1, 0, 0, 0]), 40)
    summed = influence(quarters, labels).reshape(40, 4).sum(axis=1)
    np.testing.assert_allclose(influence(scores, p), summed, atol=1e-12)


@pytest.mark.parametrize("soft", [False, True], ids=["auc", "soft_auc"])
def test_19_of_20_intervals_hold_the_truth(soft: bool) -> None:
    p, labels = drawn(2_000_000, 3)
    truth = soft_auc(p, p) if soft else auc(p, labels)
    held = 0
    for seed in range(200):
        p, labels = drawn(500, 100 + seed)
        value, weights = (soft_auc(p, p), p) if soft else (auc(p, labels), labels)
        low, high = around(value, influence(p, weights))
        held += low <= truth <= high
    assert 180 <= held <= 198


def test_a_loss_on_the_same_pairs_is_known_better_than_either_auc() -> None:
    p, _labels = drawn(5000, 4)
    logits = np.log(p / (1 - p)) + np.random.default_rng(5).normal(0, 0.1, len(p))
    own, fp32 = influence(logits.astype(np.float32), p), influence(p, p)
    alone, paired = (np.square(one).sum() ** 0.5 for one in (own, own - fp32))
    assert paired < alone / 20


def test_an_interval_shrinks_with_the_root_of_the_pairs() -> None:
    # Half of the width is 0.1, the distance 0.05: four times the pairs.
    assert pairs_needed(100, 0.7, 0.9, 0.75) == 400
    assert pairs_needed(100, 0.7, 0.9, 0.65) == 45
    assert pairs_needed(100, 0.7, 0.9, 0.8) is None
    assert pairs_needed(100, 0.8, 0.8, 0.8) == 0

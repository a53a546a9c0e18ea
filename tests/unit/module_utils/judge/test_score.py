"""Which scores the pairs can tell (borders: tests/unit/library/test_too_few_pairs.py)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.judge.score import reasons, undecided

WHOLE = 330_067


def official(**changes: Any) -> dict[str, Any]:
    """As published INT8 entries score: above the gate by less than an eighth of the interval."""
    score = {
        "metric": "auc",
        "auc": 0.80240,
        "target": 0.8022969,
        "passed": True,
        "samples": WHOLE,
        "pairs": 89_137_319,
        "gate": {"asked": 0.8022969, "low": 0.8021, "high": 0.8027, "pairs_needed": 800_000_000},
    }
    return {**score, **changes}


def test_on_the_whole_set_of_samples_the_score_is_exact() -> None:
    assert undecided(official(), "official") == []
    assert reasons(official(), "official") == []
    missed = official(auc=0.80229, passed=False)
    assert undecided(missed, "official") == []
    assert reasons(missed, "official") == ["Accuracy must reach auc 0.80230, found 0.80229."]


@pytest.mark.parametrize(
    ("profile", "samples"), [("official", WHOLE - 1), ("official", None), ("demo", WHOLE)]
)
def test_on_others_it_is_not(profile: str, samples: int | None) -> None:
    (sentence,) = undecided(official(samples=samples), profile)
    assert sentence.startswith("Too few pairs: auc of 89137319 pairs lies between 0.80210 and ")


@pytest.mark.parametrize(
    ("low", "high", "sure"),
    [(0.79, 0.81, False), (0.8, 0.81, True), (0.79, 0.8, False), (0.78, 0.79, True)],
)
def test_a_gate_at_the_end_of_the_interval(low: float, high: float, sure: bool) -> None:
    score = official(gate={"asked": 0.8, "low": low, "high": high})
    assert (undecided(score, "demo") == []) is sure


@pytest.mark.parametrize("score", [None, {}, official(gate=None), official(gate={})])
def test_without_an_interval_nothing_is_undecided(score: dict[str, Any] | None) -> None:
    assert undecided(score, "demo") == []

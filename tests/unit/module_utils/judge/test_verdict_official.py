"""The judge on official settings, and the marks a result carries."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.judge.rules import DEMO_MARK, UNVERIFIED_MARK
from judged_run import (
    judged,
    passing,
    replace_detail,
    set_fact,
    set_parameter,
)


@pytest.fixture
def given() -> dict[str, Any]:
    return passing()


def official(given: dict[str, Any]) -> None:
    set_parameter("profile", "official")(given)
    set_fact("accuracy", samples=330_067)(given)
    for old, new in (
        (
            '"effective_min_duration_ms", "value": 1000',
            '"effective_min_duration_ms", "value": 600000',
        ),
        (
            '"effective_performance_sample_count", "value": 64',
            '"effective_performance_sample_count", "value": 204800',
        ),
        (
            '"result_max_latency_ns", "value": 1342252862',
            '"result_max_latency_ns", "value": 660000000000',
        ),
    ):
        assert old in given["detail_text"]
        replace_detail(old, new)(given)


def test_official_settings_pass_and_are_marked(given: dict[str, Any]) -> None:
    official(given)
    given["request"]["marks"] = ["open", UNVERIFIED_MARK]
    judgement = judged(given)
    assert judgement.verdict["reasons"] == []
    assert judgement.comparability["marks"] == ["open", UNVERIFIED_MARK]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            '"effective_performance_sample_count", "value": 204800',
            '"effective_performance_sample_count", "value": 64',
            "MLPerf v5.1 wants performance_sample_count of at least 204800, found 64.",
        ),
        (
            '"effective_samples_per_query", "value": 24576',
            '"effective_samples_per_query", "value": 100',
            "MLPerf v5.1 wants samples_per_query of at least 24576, found 100.",
        ),
        (
            '"effective_qsl_rng_seed", "value": 1780908523862526354',
            '"effective_qsl_rng_seed", "value": 1',
            "MLPerf v5.1 wants effective_qsl_rng_seed 1780908523862526354, found 1.",
        ),
    ],
)
def test_official_settings_are_checked(
    given: dict[str, Any], old: str, new: str, reason: str
) -> None:
    official(given)
    assert old in given["detail_text"]
    replace_detail(old, new)(given)
    verdict = judged(given).verdict
    assert verdict["status"] == "failed"
    assert verdict["reasons"] == [reason]


def test_official_needs_every_accuracy_sample(given: dict[str, Any]) -> None:
    official(given)
    set_fact("accuracy", samples=330_066)(given)
    assert judged(given).verdict["reasons"] == [
        "Accuracy must be of all 330067 samples, found 330066."
    ]


def test_a_demo_is_marked_even_when_the_request_forgot(given: dict[str, Any]) -> None:
    given["request"]["marks"] = []
    assert judged(given).comparability["marks"] == [DEMO_MARK]


def test_judging_changes_no_input(given: dict[str, Any]) -> None:
    before = copy.deepcopy(given)
    assert judged(given) == judged(given)
    assert given == before

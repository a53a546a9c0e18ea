"""The judge on official settings, and the marks a result carries."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.judge.rules import DEMO_MARK, UNVERIFIED_MARK
from judged_run import (
    judged,
    passing,
    replace_in_both,
    set_fact,
    set_parameter,
)


@pytest.fixture
def given() -> dict[str, Any]:
    return passing()


def official(given: dict[str, Any]) -> None:
    set_parameter("profile", "official")(given)
    set_fact("accuracy", samples=330_067)(given)
    for line, key, old, new in (
        ("min_duration (ms)", "effective_min_duration_ms", 1000, 600_000),
        ("performance_sample_count", "effective_performance_sample_count", 64, 204_800),
        ("Max latency (ns)", "result_max_latency_ns", 1342252862, 660_000_000_000),
    ):
        replace_in_both(line, key, old, new)(given)


def test_official_settings_pass_and_are_marked(given: dict[str, Any]) -> None:
    official(given)
    given["request"]["marks"] = ["open", UNVERIFIED_MARK]
    judgement = judged(given)
    assert judgement.verdict["reasons"] == []
    assert judgement.comparability["marks"] == ["open", UNVERIFIED_MARK]


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        (
            "performance_sample_count",
            204_800,
            64,
            "MLPerf v5.1 wants performance_sample_count of at least 204800, found 64.",
        ),
        (
            "samples_per_query",
            24_576,
            100,
            "MLPerf v5.1 wants samples_per_query of at least 24576, found 100.",
        ),
        (
            "qsl_rng_seed",
            1780908523862526354,
            1,
            "MLPerf v5.1 wants effective_qsl_rng_seed 1780908523862526354, found 1.",
        ),
    ],
)
def test_official_settings_are_checked(
    given: dict[str, Any], name: str, old: int, new: int, reason: str
) -> None:
    official(given)
    replace_in_both(name, f"effective_{name}", old, new)(given)
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

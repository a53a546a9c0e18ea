"""The judge on Server runs, from LoadGen's own logs."""

from __future__ import annotations

from typing import Any

import pytest
from judged_run import judged, log, passing, replace_in_both, set_logs, set_parameter


@pytest.fixture
def given() -> dict[str, Any]:
    arguments = passing()
    set_parameter("scenario", "server")(arguments)
    set_logs("server")(arguments)
    return arguments


def test_a_run_within_the_bound_passes(given: dict[str, Any]) -> None:
    judgement = judged(given)
    assert judgement.verdict["reasons"] == []
    assert judgement.verdict["status"] == "passed"


def test_its_figures_are_loadgens(given: dict[str, Any]) -> None:
    performance = judged(given).performance
    assert performance is not None
    summary = log("server", "summary")
    assert f"Completed samples per second    : {performance['samples_per_second']:.2f}" in summary
    scheduled = performance["scheduled_samples_per_second"]
    assert f"Scheduled samples per second : {scheduled:.2f}" in summary
    nanoseconds = round(1e6 * performance["latency_p99_ms"])
    assert f"99.00 percentile latency (ns)   : {nanoseconds}" in summary
    assert performance["latency_bound_ms"] == 60
    assert performance["queries"] == 800
    assert performance["samples_per_query"] == 1
    # Not the longest query's latency, as in Offline.
    assert performance["duration_ms"] == pytest.approx(800 / 392.022 * 1000)


def test_late_answers_fail_it_by_loadgens_word_and_by_ours(given: dict[str, Any]) -> None:
    set_logs("server_slow")(given)
    verdict = judged(given).verdict
    assert verdict["status"] == "failed"
    assert verdict["reasons"][0].startswith("LoadGen calls the result INVALID")
    assert verdict["reasons"][1].startswith("99 of 100 queries must be answered within 60 ms")


def test_a_wider_bound_is_refused(given: dict[str, Any]) -> None:
    replace_in_both("target_latency (ns)", "effective_target_latency_ns", 60_000_000, 100_000_000)(
        given
    )
    assert judged(given).verdict["reasons"] == [
        "LoadGen's latency bound must be 60 ms, found 100 ms."
    ]


def test_official_wants_its_queries_not_offlines_samples(given: dict[str, Any]) -> None:
    set_parameter("profile", "official")(given)
    reasons = judged(given).verdict["reasons"]
    assert "MLPerf v5.1 wants queries of at least 270336, found 800." in reasons
    assert not [reason for reason in reasons if "samples_per_query" in reason]


def test_what_differs_is_said(given: dict[str, Any]) -> None:
    given["performance"]["facts"].update(pairs_of_a_part=192, queries_put_back=7)
    differs = judged(given).comparability["differs"]
    assert differs["batching"].startswith("queries waiting are cut into parts of at most 192 pairs")
    assert differs["batching"].endswith("but for 7 put back as not all could be in time")
    # Older images know only the order of arrival.
    del given["performance"]["facts"]["queries_put_back"]
    older = judged(given).comparability["differs"]["batching"]
    assert older.endswith("but for 0 put back as not all could be in time")
    assert "1,000 queries at least of 270,336" in differs["rules"]

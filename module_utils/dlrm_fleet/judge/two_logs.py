"""Whether LoadGen's summary and detail log are of one run.

LoadGen 5.1.1 writes both from the same figures (results.cc: LogSummary, LogDetail). The summary
prints a rate with six significant digits, or with two decimals in Server.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..wire.strict_json import shown
from .loadgen_log import DETAIL_NAME, SUMMARY_NAME, Detail, Summary

# Line of the summary -> key of the detail log.
TEXTS = {
    "SUT name": "sut_name",
    "Scenario": "effective_scenario",
    "Mode": "effective_test_mode",
    "Result is": "result_validity",
}
RATES = {
    "Samples per second": "result_samples_per_second",
    "Completed samples per second": "result_completed_samples_per_sec",
    "Scheduled samples per second": "result_scheduled_samples_per_sec",
}
LATENCIES = {
    "Min latency (ns)": "result_min_latency_ns",
    "Max latency (ns)": "result_max_latency_ns",
    "Mean latency (ns)": "result_mean_latency_ns",
}
PARAMETERS = {
    "samples_per_query": "effective_samples_per_query",
    "target_qps": "effective_target_qps",
    "target_latency (ns)": "effective_target_latency_ns",
    "min_duration (ms)": "effective_min_duration_ms",
    "max_duration (ms)": "effective_max_duration_ms",
    "min_query_count": "effective_min_query_count",
    "max_query_count": "effective_max_query_count",
    "qsl_rng_seed": "effective_qsl_rng_seed",
    "sample_index_rng_seed": "effective_sample_index_rng_seed",
    "schedule_rng_seed": "effective_schedule_rng_seed",
    "performance_sample_count": "effective_performance_sample_count",
}
# Both logs round to six significant digits.
RELATIVE = 1e-5
# And Server's summary to two decimals.
ABSOLUTE = {
    "Completed samples per second": 0.00501,
    "Scheduled samples per second": 0.00501,
}


def disagreement(summary: Summary, detail: Detail) -> list[str]:
    """A sentence with both values of the first figure that differs; empty where none does.

    Compares what stands in both logs: releases of LoadGen differ in what they write.
    """
    found = [
        (name, said, logged)
        for name, said, logged in _both(summary, detail.values)
        if not _agree(name, said, logged)
    ]
    if not found:
        return []
    name, said, logged = found[0]
    more = f", and {len(found) - 1} other figures differ" if len(found) > 1 else ""
    return [
        f"These logs are of two runs: {name!r} is {_plain(said)} in {SUMMARY_NAME!r} "
        f"and {_plain(logged)} in {DETAIL_NAME!r}{more}."
    ]


def _plain(value: Any) -> str:
    """Short and escaped, without shown()'s quotes."""
    return shown(str(value))[1:-1]


def _both(summary: Summary, logged: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, value of the summary, value of the detail log); the result's rate first."""
    latencies = {
        **LATENCIES,
        **{
            f"{percent} percentile latency (ns)": f"result_{percent}_percentile_latency_ns"
            for percent in summary.percentiles_ns
        },
    }
    for said, names in (
        (summary.fields, {**RATES, **TEXTS, **latencies}),
        (summary.parameters, PARAMETERS),
    ):
        for name, key in names.items():
            if name in said and logged.get(key) is not None:
                yield name, said[name], logged[key]


def _agree(name: str, said: Any, logged: Any) -> bool:
    number = _number(said)
    if isinstance(logged, bool) or not isinstance(logged, (int, float)) or number is None:
        return str(said) == str(logged)
    # Seeds have more digits than a float holds.
    if isinstance(number, int) and isinstance(logged, int):
        return number == logged
    return math.isclose(number, logged, rel_tol=RELATIVE, abs_tol=ABSOLUTE.get(name, 0.0))


def _number(said: Any) -> int | float | None:
    if not isinstance(said, str):
        return said if isinstance(said, (int, float)) else None
    for kind in (int, float):
        try:
            return kind(said)
        except ValueError:
            continue
    return None

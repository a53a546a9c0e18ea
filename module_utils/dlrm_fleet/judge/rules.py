"""MLPerf inference v5.1's rules for dlrm-v2: what a run must show and how it is marked. Pure."""

from __future__ import annotations

from typing import Any

from ..base.lenient import as_number
from . import loadgen_log

# By profile: what every result of it says of itself.
DEMO_MARK = "demo: not comparable"
UNVERIFIED_MARK = "unverified: not verified by MLCommons Association"
MARKS = {"demo": [DEMO_MARK], "official": ["open", UNVERIFIED_MARK]}

MIN_DURATION_SECONDS = 600
OFFLINE_SAMPLES_PER_QUERY = 24_576
SERVER_MIN_QUERIES = 270_336
SERVER_LATENCY_MS = 60
PERFORMANCE_SAMPLES = 204_800
ACCURACY_SAMPLES = 330_067
SEEDS = {
    "effective_qsl_rng_seed": 1780908523862526354,
    "effective_sample_index_rng_seed": 14771362308971278857,
    "effective_schedule_rng_seed": 18209322760996052031,
}


def latency_reasons(performance: dict[str, Any]) -> list[str]:
    """Server in every profile: LoadGen's bound is 60 ms, and 99 of 100 queries keep to it."""
    if performance["scenario"] != "Server":
        return []
    bound, reached = performance["latency_bound_ms"], performance["latency_p99_ms"]
    reasons = []
    if bound > SERVER_LATENCY_MS:
        reasons.append(
            f"LoadGen's latency bound must be {SERVER_LATENCY_MS} ms, found {bound:g} ms."
        )
    if reached > SERVER_LATENCY_MS:
        reasons.append(
            f"99 of 100 queries must be answered within {SERVER_LATENCY_MS} ms, "
            f"it took {reached:.3f} ms."
        )
    return reasons


def official_reasons(performance: dict[str, Any], detail: loadgen_log.Detail) -> list[str]:
    """A sentence for each official setting that the run does not meet."""
    count = as_number(detail.values.get("effective_performance_sample_count")) or 0
    wanted = {
        "min_duration (ms)": (MIN_DURATION_SECONDS * 1000, performance["min_duration_ms"]),
        "performance_sample_count": (PERFORMANCE_SAMPLES, count),
    }
    if performance["scenario"] == "Server":
        wanted["queries"] = (SERVER_MIN_QUERIES, performance["queries"])
    else:
        wanted["samples_per_query"] = (OFFLINE_SAMPLES_PER_QUERY, performance["samples_per_query"])
    reasons = [
        f"MLPerf v5.1 wants {name} of at least {least}, found {found:g}."
        for name, (least, found) in wanted.items()
        if found < least
    ]
    for name, seed in SEEDS.items():
        if detail.values.get(name) != seed:
            reasons.append(f"MLPerf v5.1 wants {name} {seed}, found {detail.values.get(name)!r}.")
    return reasons

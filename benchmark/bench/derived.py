"""What follows from measured figures: ratios of a round, and the full model's start.

Pure Python, as rounds.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Phases that grow with the model file, and with the pairs that are loaded.
BY_BYTES = ("loading model", "starting workers")
BY_SET, BY_PROBE_SET, PROBING = "loading query set", "loading probe set", "probing"


def ratios(one: Mapping[str, Any], cores: int, bound_ms: float) -> dict[str, float]:
    """What a round of machine_speed.py says; a run's only where LoadGen called it valid."""
    alone, at_once = cores * one["one_core"], one["every_core"]
    offline, server = one["offline"], one["server"]
    found = {"every core at once / N x one": at_once / alone}
    if offline["valid"]:
        found["Offline / every core at once"] = offline["pairs_per_second"] / at_once
        found["Offline / N x one"] = offline["pairs_per_second"] / alone
    if offline["valid"] and server["valid"] and server["p99_ms"] <= bound_ms:
        found["Server / Offline"] = server["samples_per_second"] / offline["samples_per_second"]
    if "recipe" in one and offline["valid"]:
        found["Offline / recipe on N"] = offline["pairs_per_second"] / one["recipe"]
        if one["recipe_but_one"]:
            rate = offline["pairs_per_second"] / one["recipe_but_one"]
            found["Offline / recipe on N - 1"] = rate
    return found


def official(
    small: Mapping[str, Any], large: Mapping[str, Any], full: Mapping[str, float]
) -> dict[str, Any]:
    """Seconds to the first query of the full model, by phases, from two demo sizes.

    `small`, `large`: bytes (of the model file), pairs (of the data set), phases (seconds).
    `full`: bytes, pairs (of LoadGen's set), probe_pairs and probe_seconds of the full model.
    A phase that grows with the file: large + (large - small) / (bytes between) x the bytes beyond.
    The query set: its seconds a pair x the full set's pairs; the probe's set alike, with the pairs
    it takes at most. Probing: what it is told to take. All else: as in the large demo.
    """
    found = {}
    for name, seconds in large["phases"].items():
        if name in BY_BYTES:
            slope = (seconds - small["phases"].get(name, 0.0)) / (large["bytes"] - small["bytes"])
            found[name] = seconds + max(slope, 0.0) * (full["bytes"] - large["bytes"])
        elif name == BY_SET:
            found[name] = seconds / large["pairs"] * full["pairs"]
        elif name == BY_PROBE_SET:
            probed = min(large["pairs"], full["probe_pairs"])
            found[name] = seconds / probed * full["probe_pairs"]
        elif name == PROBING:
            found[name] = full["probe_seconds"]
        else:
            found[name] = seconds
    phases = {name: round(seconds, 1) for name, seconds in found.items()}
    return {**full, "seconds": round(sum(found.values()), 1), "phases": phases}

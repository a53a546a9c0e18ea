"""Ratios of a round on the whole machine, and the full model's start from two demos."""

from __future__ import annotations

from typing import Any

import derived
import pytest

OFFLINE = {"valid": True, "pairs_per_second": 1960.0, "samples_per_second": 10.0}
SERVER = {"valid": True, "samples_per_second": 9.0, "p99_ms": 55.0}
ROUND: dict[str, Any] = {
    "one_core": 1000.0,
    "every_core": 1980.0,
    "offline": OFFLINE,
    "server": SERVER,
    "recipe": 1400.0,
    "recipe_but_one": 700.0,
}


def test_what_a_round_says() -> None:
    assert derived.ratios(ROUND, 2, 60) == pytest.approx(
        {
            "every core at once / N x one": 0.99,
            "Offline / every core at once": 1960 / 1980,
            "Offline / N x one": 0.98,
            "Server / Offline": 0.9,
            "Offline / recipe on N": 1.4,
            "Offline / recipe on N - 1": 2.8,
        }
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"server": {**SERVER, "valid": False}}, id="server invalid"),
        pytest.param({"server": {**SERVER, "p99_ms": 60.1}}, id="server too slow"),
        pytest.param({"offline": {**OFFLINE, "valid": False}}, id="offline invalid"),
    ],
)
def test_a_run_that_does_not_count_gives_no_ratio(change: dict[str, Any]) -> None:
    assert "Server / Offline" not in derived.ratios({**ROUND, **change}, 2, 60)


def test_one_core_has_no_recipe_but_one() -> None:
    found = derived.ratios({**ROUND, "recipe_but_one": 0.0}, 1, 60)
    assert "Offline / recipe on N - 1" not in found


def test_each_phase_grows_with_what_it_depends_on() -> None:
    small = {"bytes": 100, "pairs": 50, "phases": {"loading model": 1.0, "starting": 3.0}}
    phases = {
        "starting": 4.0,
        "loading model": 2.0,
        "loading probe set": 0.5,
        "probing": 2.0,
        "loading query set": 0.5,
    }
    large = {"bytes": 200, "pairs": 50, "phases": phases}
    full = {"bytes": 1200, "pairs": 5000, "probe_pairs": 500, "probe_seconds": 20.0}
    assert derived.official(small, large, full)["phases"] == {
        "starting": 4.0,
        "loading model": 12.0,  # 0.01 s a byte for 1000 more.
        "loading probe set": 5.0,
        "probing": 20.0,
        "loading query set": 50.0,
    }


def test_a_phase_that_got_shorter_by_chance_does_not_shrink() -> None:
    small = {"bytes": 100, "pairs": 50, "phases": {"loading model": 2.1}}
    large = {"bytes": 200, "pairs": 50, "phases": {"loading model": 2.0}}
    full = {"bytes": 1200, "pairs": 5000, "probe_pairs": 500, "probe_seconds": 20.0}
    assert derived.official(small, large, full)["seconds"] == 2.0

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base import wording
from ansible.module_utils.dlrm_fleet.base.times import format_time, parse_time

START = parse_time("2026-01-31T12:00:00Z")
NOW = START + timedelta(seconds=35)
DEADLINE = NOW + timedelta(minutes=52, seconds=10)


def status(**changes: Any) -> dict[str, Any]:
    return {
        "phase": "layer over_arch.2",
        "percent": 42.9,
        "rate": 1_234_567,
        "unit": "rows/s",
        "eta_seconds": 48,
        "updated_at": format_time(NOW),
        **changes,
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(
            status(),
            "calibrate 42 % layer over_arch.2, 1.2 M rows/s, 0:35 elapsed, 0:48 left,"
            " deadline in 0:52:10",
            id="all",
        ),
        pytest.param(
            status(percent=None, rate=None, eta_seconds=None, phase="loading query set"),
            "calibrate loading query set, 0:35 elapsed, deadline in 0:52:10",
            id="silent phase",
        ),
        pytest.param(None, "calibrate starting, 0:35 elapsed, deadline in 0:52:10", id="no status"),
        pytest.param(
            status(rate=None, eta_seconds=None, updated_at=format_time(NOW - timedelta(minutes=2))),
            "calibrate 42 % layer over_arch.2, 0:35 elapsed, deadline in 0:52:10,"
            " last status 2:00 ago",
            id="stale",
        ),
    ],
)
def test_progress(given: dict[str, Any] | None, wanted: str) -> None:
    assert wording.progress_line("calibrate", given, START, DEADLINE, NOW) == wanted


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (0, "rows/s", "0 rows/s"),
        (1.5, "samples/s", "1.5 samples/s"),
        (999, "", "999"),
        (1000, "rows/s", "1.0 k rows/s"),
        (2_500_000_000, "bytes/s", "2.5 GB/s"),
        (512, "bytes", "512 B"),
    ],
)
def test_numbers(value: float, unit: str, wanted: str) -> None:
    assert wording.number(value, unit) == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(0, "0:00"), (59.9, "0:59"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_durations(seconds: float, wanted: str) -> None:
    assert wording.duration(seconds) == wanted


def test_a_passed_deadline_is_zero() -> None:
    assert wording.duration(-5, hours=True) == "0:00:00"


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(-1, "0 s"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (3661, "1 h 1 min")],
)
def test_spans(seconds: float, wanted: str) -> None:
    assert wording.span(seconds) == wanted

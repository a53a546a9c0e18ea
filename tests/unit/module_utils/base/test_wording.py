from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.base import wording


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

"""A CPU quota is a reason of noise, and its size is named."""

from __future__ import annotations

import pytest
from judged_run import judged, passing, set_fact


@pytest.mark.parametrize(
    ("size", "words"),
    [
        pytest.param({}, "a CPU quota took 49.7 % of CPU time, at most 1.0 % is quiet", id="older"),
        pytest.param(
            {"quota_cores": 0.5},
            "a CPU quota of 0.5 cores took 49.7 % of CPU time, at most 1.0 % is quiet",
            id="its size",
        ),
    ],
)
def test_a_quota_is_named_with_its_size(size: dict[str, float], words: str) -> None:
    given = passing()
    quiet = {"steal_percent": 0.0, "other_load_percent": 0.0, "major_faults": 0}
    set_fact("performance", evidence={**quiet, "throttled_percent": 49.7, **size})(given)
    assert judged(given).verdict["evidence"]["noise"] == [words]

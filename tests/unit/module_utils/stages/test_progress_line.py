from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.times import parse_time
from ansible.module_utils.dlrm_fleet.stages.progress_line import progress_line
from ansible.module_utils.dlrm_fleet.wire.status_document import Status

START = parse_time("2026-01-31T12:00:00Z")
NOW = START + timedelta(seconds=35)
DEADLINE = NOW + timedelta(minutes=52, seconds=10)


def status(**changes: Any) -> Status:
    fields: dict[str, Any] = {
        "state": "running",
        "phase": "layer over_arch.2",
        "percent": 42.9,
        "rate": 1_234_567,
        "unit": "rows/s",
        "eta_seconds": 48,
        "message": "",
        "updated_at": NOW,
    }
    return Status(**{**fields, **changes})


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
            status(rate=None, eta_seconds=None, updated_at=NOW - timedelta(minutes=2)),
            "calibrate 42 % layer over_arch.2, 0:35 elapsed, deadline in 0:52:10,"
            " last status 2:00 ago",
            id="stale",
        ),
    ],
)
def test_progress(given: Status | None, wanted: str) -> None:
    assert progress_line("calibrate", given, START, DEADLINE, NOW) == wanted

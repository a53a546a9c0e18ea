"""A command's end is told as it was; one that is not installed is no exception."""

from __future__ import annotations

import sys

import pytest
from ansible.module_utils.dlrm_fleet.base.commands import run_bounded, run_command
from ansible.module_utils.dlrm_fleet.base.errors import FleetError


def test_a_command_is_told_as_it_ended() -> None:
    script = "echo out; echo $LC_ALL >&2; cat; exit 3"
    assert run_command(["sh", "-c", script]) == (3, "out\n", "C\n")


def test_a_missing_command_ends_as_a_shell_would_tell() -> None:
    assert run_command(["no-such-command", "x"]) == (127, "", "no-such-command: not found")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_an_answer_within_its_bounds_is_whole() -> None:
    code = "import sys; print('x' * 200_000); sys.stderr.write('why'); sys.exit(3)"
    rc, out, err = run_bounded(python(code), seconds=60, most_bytes=1 << 20)
    assert (rc, len(out), err) == (3, 200_001, "why")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        pytest.param("import time; time.sleep(60)", "did not end within 1 s", id="silent"),
        pytest.param(
            "import os, time; os.close(1); os.close(2); time.sleep(60)",
            "did not end within 1 s",
            id="closed and silent",
        ),
        pytest.param(
            "import sys, time\nwhile True: print('x', flush=True); time.sleep(0.05)",
            "did not end within 1 s",
            id="trickling",
        ),
        pytest.param("while True: print('x' * 1000)", "says more than 100000 bytes", id="endless"),
    ],
)
def test_a_command_that_neither_ends_nor_stops_is_killed(code: str, why: str) -> None:
    with pytest.raises(FleetError, match=why):
        run_bounded(python(code), seconds=1, most_bytes=100_000)

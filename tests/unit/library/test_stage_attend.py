"""Stages on a real engine: one call of dlrm_stage that starts and watches."""

from __future__ import annotations

import os

from tiny.machine import RUN, Machine


def test_a_short_stage_is_seen_from_start_to_end_in_one_call(machine: Machine) -> None:
    seen = machine.have("made", wait=50)
    assert (seen.state, seen.changed, seen.cause) == ("done", True, "")
    assert seen.lines[0].startswith("made started, attempt 1: ")
    assert seen.lines[1].startswith("made done in 0:")
    assert seen.diff is not None
    assert seen.diff["after"] == f"made by run {RUN}, attempt 1\n"
    assert (machine.root / f"model/{os.uname().machine}_fp32.bin").read_text() == "seed 1\n"
    assert machine.containers() == []
    again = machine.have("made", wait=50)
    assert (again.state, again.changed, again.diff) == ("done", False, None)


def test_a_stage_that_fails_in_the_first_call_is_not_begun_again(machine: Machine) -> None:
    seen = machine.have("raising", wait=50)
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "exception", 1)
    assert machine.folder("raising").attempts() == [1]


def test_a_longer_stage_is_left_running_with_the_token_of_the_next_look(machine: Machine) -> None:
    seen = machine.have("waiting", wait=1)
    assert (seen.state, seen.cause) == ("running", "")
    assert seen.token.startswith("waiting=running/1")
    assert seen.lines[0].startswith("waiting started, attempt 1: ")
    (machine.folder("waiting").path / "go").touch()
    assert machine.watch("waiting", wait=50, token=seen.token).state == "done"

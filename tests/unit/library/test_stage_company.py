"""No stage starts beside another one of the same root."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.stages import start
from tiny.machine import NEXT_RUN, RUN, Machine


def test_what_another_run_left_running_is_named_before_anything_is_measured(
    machine: Machine,
) -> None:
    machine.finish("made")
    machine.start("waiting")
    machine.open_run(NEXT_RUN)
    with pytest.raises(FleetError) as caught:
        machine.start("measured")
    (left,) = machine.containers()
    said = str(caught.value)
    assert f"container {left.name} of run {RUN} still runs on this host, since 2" in said
    assert f"Wait until it ends, or stop it: docker stop {left.name}." in said
    assert machine.folder("measured").attempts() == []
    # What is done needs no room.
    assert machine.start("made").state == "done"
    (machine.folder("waiting").path / "go").touch()
    machine.until("waiting", lambda seen: seen.state == "done")
    assert machine.start("measured").state == "running"


def test_another_stage_of_the_same_run_is_awaited(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "WAIT_SECONDS", 0)
    machine.finish("made")
    machine.start("waiting")
    (left,) = machine.containers()
    awaited = machine.start("measured")
    assert awaited.state == "preparing"
    assert f"measured waits for container {left.name} of this run" in awaited.line
    assert machine.folder("measured").attempts() == []
    (machine.folder("waiting").path / "go").touch()
    machine.until("waiting", lambda seen: seen.state == "done")
    assert machine.start("measured").state == "running"

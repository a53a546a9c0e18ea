"""Ways are tried side by side, each bounded, and none can end the others."""

from __future__ import annotations

import threading

from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.support.ways.trying import Hint, Skip, Trial, try_all
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.ways import Way, read_ways


def trial(name: str, do: object) -> Trial:
    def work() -> str:
        if isinstance(do, Exception):
            raise do
        return str(do)

    return Trial(Way(name, "a", "b"), work)


def test_each_outcome_has_its_state_reason_and_remedy() -> None:
    found = try_all(
        [
            trial("open", "HTTP 200"),
            trial("skipped", Skip("not needed")),
            trial("noted", Hint("x", "old", "renew it")),
            trial("failed", FleetError("x", "it is down", "start it")),
            trial("broken", OSError("no route")),
        ]
    )
    assert [(way.state, way.why) for way in found] == [
        ("ok", "HTTP 200"),
        ("skipped", "not needed"),
        ("note", "old"),
        ("failed", "it is down"),
        ("failed", "no route"),
    ]
    assert found[3].todo == "start it"


def test_one_that_hangs_holds_up_no_other() -> None:
    released = threading.Event()
    hangs = Trial(Way("hangs", "a", "b"), lambda: str(released.wait(60)))
    # They only pass together.
    both = threading.Barrier(2, timeout=60)
    meet = [Trial(Way(name, "a", "b"), lambda: str(both.wait() >= 0)) for name in ("one", "two")]
    found = try_all([hangs, *meet], seconds=1)
    released.set()
    assert [way.state for way in found] == ["note", "ok", "ok"]
    assert found[0].why == "no answer within 1 s"


def test_what_is_said_of_a_way_is_one_bounded_line() -> None:
    told = Way("pip", "a", "b", "failed", "first\nsecond\x1b[31m" + "x" * 5000, "do").document()
    [way] = read_ways(Fields({"ways": [told]}, "it"))
    assert way.why.startswith("first second\\x1b[31mxxx")
    assert len(way.why) == 1000

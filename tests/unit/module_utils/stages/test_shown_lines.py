"""Which lines of running stages a terminal shows."""

from __future__ import annotations

from datetime import datetime, timedelta

from ansible.module_utils.dlrm_fleet.stages.progress_line import progress_line
from ansible.module_utils.dlrm_fleet.stages.shown_lines import ShownLines

HOUR = 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def progress(stage: str, seconds: int) -> str:
    begun = datetime(2026, 1, 31, 12)
    return progress_line(
        stage, None, begun, begun + timedelta(hours=9), begun + timedelta(seconds=seconds)
    )


def told(lines: ShownLines, clock: Clock, host: str, stage: str, seconds: int) -> list[str]:
    """What is shown of a stage that is looked at each 15 s for so long."""
    shown = lines.said(host, f"{stage} started, attempt 1: no result yet, deadline in 9:00:00")
    for second in range(0, seconds, 15):
        shown += lines.said(host, progress(stage, second))
        clock.now += 15
    shown += lines.said(host, f"{stage} done in 0:05")
    return shown + lines.ended(host, stage, "done", f"{stage} done in 0:05")


def test_a_short_stage_takes_one_line() -> None:
    clock = Clock()
    assert told(ShownLines(clock), clock, "a", "dump", 15) == ["[a] dump done in 0:05"]


def test_a_long_stage_says_now_and_then_how_far_it_is() -> None:
    clock = Clock()
    shown = told(ShownLines(clock), clock, "a", "accuracy", 5 * HOUR)
    assert shown[0] == "[a] accuracy starting, 0:30 elapsed, deadline in 8:59:30"
    assert shown[-1] == "[a] accuracy done in 0:05"
    assert 10 < len(shown) < 20


def test_what_is_no_progress_is_shown_at_once_and_then_seldom() -> None:
    clock = Clock()
    lines = ShownLines(clock, hosts=32)
    shown: list[str] = []
    for _look in range(60):
        shown += lines.said("a", "dump: connection lost (no route), trying again until 9:00")
        clock.now += 5
    assert shown[0].startswith("[a] dump: connection lost")
    assert 1 < len(shown) < 6


def test_a_fleet_takes_a_line_for_each_stage_and_one_for_each_measured_host() -> None:
    clock = Clock()
    hosts = [f"host-{number}" for number in range(5)]
    lines = ShownLines(clock, hosts=len(hosts))
    shown: list[str] = []
    for stage in ("dump", "calibrate", "performance"):
        for host in hosts:
            shown += told(lines, clock, host, stage, 15)
    assert shown == [
        "dump: done on 5 hosts",
        "calibrate: done on 5 hosts",
        *(f"[{host}] performance done in 0:05" for host in hosts),
    ]


def test_a_host_that_failed_is_not_waited_for() -> None:
    lines = ShownLines(Clock(), hosts=5)
    made, there = "dump done in 0:05", "dump skipped because 0123 made by run x at y"
    for host in "abc":
        assert lines.ended(host, "dump", "done", made) == []
    assert lines.ended("d", "dump", "done", there) == []
    assert lines.lost("e") == ["dump: done on 3 hosts, there already on 1 host"]
    assert lines.close() == []


def test_what_is_left_at_the_end_of_a_play_is_shown() -> None:
    lines = ShownLines(Clock(), hosts=5)
    lines.ended("a", "dump", "would_run", "dump would run: no result yet")
    assert lines.close() == ["dump: would run on 1 host"]
    assert lines.close() == []


def test_a_stage_that_is_no_part_of_the_request_is_not_shown() -> None:
    assert ShownLines(Clock()).ended("a", "tune", "skipped", "tune skipped: not asked for") == []


def test_a_fleet_that_works_for_long_says_where_its_hosts_are() -> None:
    clock = Clock()
    lines = ShownLines(clock, hosts=32)
    shown: list[str] = []
    for minute in range(60):
        for number in range(32):
            stage = "dump" if number < 2 else "accuracy"
            shown += lines.said(f"host-{number}", progress(stage, 60 * minute))
        clock.now += 60
    assert shown == [
        f"Hosts after {minutes} min: 30 in accuracy, 2 in dump" for minutes in (5, 15, 45)
    ]

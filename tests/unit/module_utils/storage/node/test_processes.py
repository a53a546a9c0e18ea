"""Work in processes of their own: whatever one does, the others are done and each has one line."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node.processes import (
    Bounds,
    Work,
    allow_file,
    run_apart,
)

SMALL = Bounds(seconds=600, memory=1024**3, file=1024**2)


def outcome(run: Callable[[], str], bounds: Bounds = SMALL) -> tuple[str, bool]:
    [end] = run_apart([Work("host", run)], 1, bounds)
    assert end.name == "host"
    return end.line, end.good


def sleep() -> str:
    time.sleep(3600)
    return "woke up"


def refuse() -> str:
    raise FleetError("cannot serve it", "it is nobody")


def eat() -> str:
    return "x" * len(bytearray(8 * 1024**3))


def kill_itself() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def leave() -> str:
    os._exit(3)


def recurse() -> str:
    return recurse()


def exit_loudly() -> str:
    sys.exit("bye")


@pytest.mark.parametrize(
    ("run", "wanted", "good"),
    [
        (lambda: "done", "host: done", True),
        (refuse, "host: cannot serve it: it is nobody.", False),
        (eat, "host: it ended with MemoryError: ", False),
        (kill_itself, "host: its process was ended by SIGKILL", False),
        (leave, "host: its process ended with status 3 and said nothing", False),
        (exit_loudly, "host: it ended with SystemExit: bye", False),
        (lambda: "two\nlines \x1b[31m \u202e \udcff", "host: two\\nlines \\x1b[31m", True),
        (lambda: "x" * 10**6, "host: xxx", True),
    ],
)
def test_each_end_is_one_line(run: Callable[[], str], wanted: str, good: bool) -> None:
    line, well = outcome(run)
    assert line.startswith(wanted)
    assert line.isascii() and line.isprintable()
    assert len(line) <= 2000
    assert well is good


def test_a_recursion_without_end_is_a_line() -> None:
    assert outcome(recurse)[0].startswith("host: it ended with RecursionError")


def test_no_file_grows_over_its_bound(tmp_path: Path) -> None:
    def write(size: int) -> str:
        (tmp_path / "file").write_bytes(bytes(size))
        return "written"

    assert outcome(lambda: write(SMALL.file)) == ("host: written", True)
    assert "File too large" in outcome(lambda: write(SMALL.file + 1))[0]

    def write_allowed() -> str:
        allow_file(Bounds.file + 10)
        return write(Bounds.file + 10)

    assert outcome(write_allowed) == ("host: written", True)


def test_what_outlives_its_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    def start_another() -> str:
        with subprocess.Popen(["sleep", "3600"]) as started:
            (tmp_path / "pid").write_text(str(started.pid))
        return ""

    bounds = Bounds(seconds=5)
    line, good = outcome(start_another, bounds)
    assert (line, good) == ("host: it did not end within 5 s; the next visit goes on", False)
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """It ends at once, but somebody else reaps it."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_no_more_than_so_many_work_at_once(tmp_path: Path) -> None:
    def count() -> str:
        mine = tmp_path / str(os.getpid())
        mine.touch()
        time.sleep(0.2)
        found = len(list(tmp_path.iterdir()))
        mine.unlink()
        return str(found)

    works = [Work(str(number), count) for number in range(7)]
    lines = [end.line for end in run_apart(works, 3, SMALL)]
    assert sorted(line.split(":")[0] for line in lines) == sorted("0123456")
    assert max(int(line.split()[1]) for line in lines) <= 3


def test_a_silent_one_does_not_hold_up_the_others() -> None:
    works = [Work("a", sleep), *(Work(x, lambda: "done") for x in "bcd")]
    found = run_apart(works, 2, Bounds(seconds=4))
    assert [end.line for end in found] == [
        *(f"{name}: done" for name in "bcd"),
        "a: it did not end within 4 s; the next visit goes on",
    ]


def test_whoever_stops_looking_leaves_no_process(tmp_path: Path) -> None:
    started = tmp_path / "pid"

    def wait_for_it() -> str:
        while not started.exists():
            time.sleep(0.05)
        return "done"

    def tell_and_sleep() -> str:
        partial = tmp_path / "partial"
        partial.write_text(str(os.getpid()))
        partial.replace(started)
        return sleep()

    found = run_apart([Work("a", wait_for_it), Work("b", tell_and_sleep)], 2, SMALL)
    assert next(found).line == "a: done"
    found.close()  # type: ignore[attr-defined]
    assert is_gone(int(started.read_text()))


def test_bounds_that_are_lower_already_stay() -> None:
    def tell() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        return next(run_apart([Work("inner", descriptors)], 1, SMALL)).line

    def descriptors() -> str:
        return str(resource.getrlimit(resource.RLIMIT_NOFILE))

    assert outcome(tell)[0] == "host: inner: (64, 64)"

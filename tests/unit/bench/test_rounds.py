"""Which rounds count, and what the report says about them."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from typing import Any

import pytest
import rounds


def of(*loads: float) -> list[dict[str, Any]]:
    return [{"other_load": load, "rate": 100.0 * n} for n, load in enumerate(loads, 1)]


def test_rounds_with_more_than_two_percent_of_other_load_are_discarded() -> None:
    assert [one["rate"] for one in rounds.quiet(of(0.0, 0.02, 0.0201, 0.5))] == [100, 200]


@pytest.mark.parametrize(
    ("loads", "enough"),
    [
        pytest.param((0.0, 0.0, 0.5), True, id="most"),
        pytest.param((0.0, 0.5), True, id="half"),
        pytest.param((0.0, 0.5, 0.5), False, id="a third"),
        pytest.param((), False, id="none at all"),
    ],
)
def test_half_of_the_rounds_must_count(loads: tuple[float, ...], enough: bool) -> None:
    assert rounds.enough(of(*loads)) is enough


def test_a_figure_is_of_quiet_rounds_alone() -> None:
    found = rounds.figure(of(0.0, 0.9, 0.01, 0.02), "rate")
    assert found == {"median": 300, "least": 100, "most": 400}


def test_no_quiet_round_gives_no_figure() -> None:
    assert rounds.figure(of(0.03, 0.9), "rate") is None


def test_a_round_without_the_value_is_passed_over() -> None:
    known: dict[str, Any] = {"other_load": 0.0, "ratios": {"a": 7.0}}
    others: list[dict[str, Any]] = [{"other_load": 0.0, "ratios": {}}, {"other_load": 0.0}]
    found = rounds.figure([known, *others], "ratios", "a")
    assert found == {"median": 7, "least": 7, "most": 7}


CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC

processor\t: 1
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
"""


def test_two_generations_of_one_name_are_told_apart() -> None:
    assert rounds.cpu_name(CPUINFO) == "AMD EPYC family 26 model 2"
    older = CPUINFO.replace("26", "25").replace(": 2\n", ": 17\n")
    assert rounds.cpu_name(older) == "AMD EPYC family 25 model 17"


def test_a_cpu_without_a_name_has_that_of_its_kind() -> None:
    assert rounds.cpu_name("processor\t: 0\nCPU part\t: 0xd40\n") == platform.machine()


BUSY = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def test_own_processes_are_no_other_load() -> None:
    own = subprocess.Popen([sys.executable, "-c", BUSY.format(3600)], start_new_session=True)
    try:
        before = rounds.session_seconds(own.pid)
        with_it, without = rounds.OtherLoad([own.pid]), rounds.OtherLoad()
        while rounds.session_seconds(own.pid) < before + 0.5:
            time.sleep(0.05)
        # Both see the other load; only one counts the half second as disturbance.
        assert with_it.share() < without.share()
    finally:
        own.kill()
        own.wait()

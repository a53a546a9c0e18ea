"""LoadGen's summary of one run beside the detail log of another: no verdict counts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from storing_node import Node

# Line of the summary, its value in the fixture, another run's value.
OTHERS = [
    ("Samples per second", "18309.5", "999999"),
    ("Samples per second", "18309.5", "18309.9"),
    ("Scenario", "Offline", "Server"),
    ("Mode", "PerformanceOnly", "AccuracyOnly"),
    ("SUT name", "PySUT", "FastSUT"),
    ("Max latency (ns)", "1342252862", "1342252863"),
    ("99.00 percentile latency (ns)", "1342252862", "24576000000"),
    ("min_duration (ms)", "1000", "600000"),
    ("samples_per_query", "24576", "24577"),
    ("qsl_rng_seed", "1780908523862526354", "1780908523862526355"),
    ("performance_sample_count", "64", "204800"),
]


@pytest.mark.parametrize(
    ("line", "old", "new"), [pytest.param(*one, id=f"{one[0]}, {one[2]}") for one in OTHERS]
)
def test_a_summary_of_another_run_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, old: str, new: str
) -> None:
    node = Node(tmp_path, capsys)
    node.fetch()
    said = re.compile(rf"^({re.escape(line)}\s*:\s*){re.escape(old)}$", re.MULTILINE)

    def change(text: str) -> str:
        changed, count = said.subn(rf"\g<1>{new}", text)
        assert count == 1
        return changed

    node.edit("performance/mlperf_log_summary.txt", change)
    verdict = node.record()["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert verdict["reasons"] == [
        f"These logs are of two runs: '{line}' is {new} in 'mlperf_log_summary.txt' "
        f"and {old} in 'mlperf_log_detail.txt'."
    ]


def test_a_detail_log_of_another_run_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path, capsys)
    node.fetch()
    key = '"result_samples_per_second", "value": '
    node.edit(
        "performance/mlperf_log_detail.txt",
        lambda text: text.replace(f"{key}18309.5", f"{key}-18309.5"),
    )
    verdict = node.record()["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert "18309.5 in 'mlperf_log_summary.txt' and -18309.5 in" in verdict["reasons"][0]


def test_figures_that_only_one_log_holds_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older release of LoadGen wrote fewer of them."""
    node = Node(tmp_path, capsys)
    node.fetch()
    alone = re.compile('"(sut_name|result_samples_per_second|effective_qsl_rng_seed)"')
    node.edit("performance/mlperf_log_detail.txt", lambda text: alone.sub(r'"old_\1"', text))
    assert node.record()["run"]["verdict"]["reasons"] == []

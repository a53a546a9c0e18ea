"""The tables of docs/performance.md are what docs/bench/*.json say."""

from __future__ import annotations

from typing import Any

import pytest
import report

ABOUT = {
    "command": "bench/speed.py --precision int8",
    "commit": "0123456789abcdef",
    "date": "2026-11-25",
    "cpu": "A CPU",
    "cpus": 2,
    "torch": "2.13.0",
    "rounds": 15,
    "quiet_rounds": 9,
}


def figure(median: float) -> dict[str, float]:
    return {"median": median, "least": 0.9 * median, "most": 1.1 * median}


SPEED: dict[str, Any] = {
    **ABOUT,
    "kind": "speed",
    "precision": "int8",
    "row_cap": 100000,
    "engines": {"engine": "Int8KernelEngine vnni", "recipe": "the recipe's arithmetic"},
    "best_batch": {"engine": 252, "recipe": 4096},
    "soft_auc_retention": {"engine": 0.9995, "recipe": 0.995},
    "summary": {
        "pairs_per_second": {"engine": figure(16000), "recipe": figure(12000)},
        "share_of_peak": {"engine": figure(0.694)},
        "engine_against": {"recipe": figure(1.35)},
    },
}
MACHINE: dict[str, Any] = {
    **ABOUT,
    "kind": "machine",
    "precision": "int8",
    "workers": 2,
    "summary": {
        "ratios": {"Offline / N x one": figure(0.981)},
        "offline_samples_per_second": figure(118.25),
        "server_samples_per_second": None,
        "server_p99_ms": None,
    },
}
QUEUE: dict[str, Any] = {
    **ABOUT,
    "kind": "queue",
    "microseconds_by_cause": {"192": {"a": 1.0, "b": 9.0, "c": 4.0, "d": 2.0}},
    "summary": {"192": {"samples_per_second": figure(20500), "process_could_carry": figure(24000)}},
}
START: dict[str, Any] = {
    **ABOUT,
    "kind": "start",
    "precision": "int8",
    "sizes": {"100000": {"seconds": figure(9.04), "phases": {"probing": 2.0}}},
    "official": {"seconds": 161.4, "phases": {"loading query set": 99.0}},
}


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        pytest.param(
            SPEED,
            [
                "| int8, 100,000 | Int8KernelEngine vnni (252) | 16,000 | 69.4 % | - | 99.950 % |",
                "| int8, 100,000 | the recipe's arithmetic (4096) | 12,000 | - "
                "| 1.35x (1.22 .. 1.49) | 99.500 % |",
            ],
            id="speed",
        ),
        pytest.param(
            MACHINE,
            [
                "| int8, 2 workers | Offline / N x one | 98.1 % (88.3 .. 107.9) |",
                "| int8, 2 workers | Offline, samples/s | 118.2 |",
                "| int8, 2 workers | Server, p99 | - |",
            ],
            id="machine, no valid Server run",
        ),
        pytest.param(
            QUEUE,
            [
                "| 192 | 20,500 | 24,000 samples/s | b 9.0 µs a sample, c 4.0 µs a sample, "
                "d 2.0 µs a sample |"
            ],
            id="queue",
        ),
        pytest.param(
            START,
            [
                "| int8, row cap 100,000 | 9.0 s (8.1 .. 9.9) | probing 2.0 s |",
                "| int8, full model | 161 s, extrapolated | loading query set 99.0 s |",
            ],
            id="start",
        ),
    ],
)
def test_a_table_says_what_the_file_says(document: dict[str, Any], rows: list[str]) -> None:
    lines = report.render([document])[document["kind"]].splitlines()
    assert [row for row in rows if row not in lines] == []
    assert lines[-1] == (
        "- `bench/speed.py --precision int8` (2026-11-25, commit 0123456, A CPU, 2 CPUs, "
        "PyTorch 2.13.0; 9 of 15 rounds count)"
    )


def test_a_changed_working_tree_is_told() -> None:
    assert "commit 0123456-dirty," in report.source({**SPEED, "commit": "0123456789-dirty"})


def test_each_cpu_has_a_table_of_its_own() -> None:
    made = report.render([SPEED, {**SPEED, "cpu": "Another", "row_cap": 1000}])["speed"]
    first, second = made.split("On Another:")
    assert first.startswith("On A CPU:\n\n| precision")
    assert "| int8, 100,000 | Int8KernelEngine" in first
    assert "| int8, 1,000 |" not in first
    assert "| int8, 1,000 | Int8KernelEngine" in second


def test_what_was_not_measured_is_said() -> None:
    made = report.render([SPEED])
    assert made["machine"] == made["queue"] == made["start"] == "Not measured yet."


def test_only_what_is_between_the_markers_changes() -> None:
    page = (
        "before <!-- bench:a --> old <!-- /bench:a --> between\n<!-- bench:b --><!-- /bench:b -->"
    )
    found = report.insert(page, {"a": "new", "b": "| x |"})
    assert found == (
        "before <!-- bench:a -->\nnew\n<!-- /bench:a --> between\n"
        "<!-- bench:b -->\n| x |\n<!-- /bench:b -->"
    )
    assert report.insert(found, {"a": "new", "b": "| x |"}) == found


@pytest.mark.parametrize("page", ["", "<!-- bench:a --> never closed"])
def test_a_table_without_a_place_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="the page has no '<!-- bench:a -->"):
        report.insert(page, {"a": "new"})


def test_the_page_is_what_the_committed_files_say() -> None:
    page = (report.DOCS / "performance.md").read_text(encoding="utf-8")
    assert report.insert(page, report.render(report.read(report.DOCS / "bench"))) == page

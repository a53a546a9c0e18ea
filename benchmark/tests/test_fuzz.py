"""Readers of mutated files: a fixed number of cases, and the cases that once failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import TARGETS, Fuzzer

CASES = {"metadata": 25, "day": 200, "queries": 200, "int8": 8, "dump": 8}


# Found by long runs and fixed since: a header cut inside its brackets, a zip member before the
# file's first byte, a pickle that is not UTF-8.
FOUND = [("day", 1000001), ("day", 1000024), ("int8", 1000006)]


@pytest.mark.parametrize(("kind", "number"), FOUND)
def test_what_was_found_stays_mended(tmp_path: Path, kind: str, number: int) -> None:
    Fuzzer(kind, tmp_path / "files").case(number)


@pytest.mark.parametrize("kind", TARGETS)
def test_mutated_files_are_read_or_refused_in_words(tmp_path: Path, kind: str) -> None:
    fuzzer = Fuzzer(kind, tmp_path / "files")
    for number in range(CASES[kind]):
        fuzzer.case(number)
    assert fuzzer.refused > 0
    assert fuzzer.read + fuzzer.refused == CASES[kind]


def test_a_reader_that_raises_anything_else_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzzer = Fuzzer("queries", tmp_path / "files")
    read: Callable[[Path], object] = lambda folder: {"y": 1}["x"]  # noqa: E731
    monkeypatch.setattr(fuzzer.target, "read", read)
    with pytest.raises(AssertionError, match="queries case 0 .*KeyError"):
        fuzzer.case(0)

"""The aggregation trace compared with the one that MLCommons publishes."""

from __future__ import annotations

import hashlib

import pytest

from dlrm_bench.data.trace import trace_text


def test_full_size_is_mlcommons_own() -> None:
    text, samples = trace_text(89_137_319)
    assert samples == 330_067
    assert len(text) == 7_839_600
    assert hashlib.md5(text.encode()).hexdigest() == "3db90209564316f2506c99cc994ad0b2"


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 700, 12_345])
def test_covers_every_row_once(rows: int) -> None:
    text, samples = trace_text(rows)
    table = [[int(n) for n in line.split(", ")] for line in text.splitlines()]
    assert len(table) == samples
    ends = [0, *(end for _, end, _ in table)]
    assert [start for start, _, _ in table] == ends[:-1]
    assert ends[-1] == rows
    assert all(end - start == length > 0 for start, end, length in table)
    assert all(100 <= length <= 700 for _, _, length in table[:-1])

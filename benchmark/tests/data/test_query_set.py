"""The .bin files and the trace: what is accepted, what is copied, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from offline_support import BINS, LENGTHS, write_dataset

from dlrm_bench.data.query_set import PairArrays, QuerySet, SampleFiles, read_trace
from dlrm_bench.frame.errors import StageError
from dlrm_bench.memory.shared import SharedMemory


def files_in(folder: Path) -> SampleFiles:
    return SampleFiles(*(folder / name for name in BINS))


def silent(_done: int, _total: int) -> None:
    pass


def test_samples_are_the_rows_of_the_trace(tmp_path: Path) -> None:
    files = files_in(write_dataset(tmp_path))
    assert files.samples == len(LENGTHS)
    assert files.rows == sum(LENGTHS)
    assert files.lengths.tolist() == list(LENGTHS)


def test_loaded_samples_are_copies_of_their_rows(tmp_path: Path) -> None:
    files = files_in(write_dataset(tmp_path))
    seen: list[tuple[int, int]] = []
    query_set = QuerySet(files, [4, 1, 3], lambda done, total: seen.append((done, total)))
    assert query_set.samples == 3
    assert query_set.pairs == 100 + 300 + 700
    assert query_set.bytes == 1100 * (13 + 214 + 1) * 4
    assert seen[-1] == (1100, 1100)
    for sample, (offset, length) in zip(
        [3, 4, 1], query_set.spans(np.array([3, 4, 1])), strict=True
    ):
        rows = slice(files.starts[sample], files.starts[sample + 1])
        part = slice(offset, offset + length)
        assert (query_set.arrays.dense[part] == files.dense[rows]).all()
        assert (query_set.arrays.ids[part] == files.label_sparse[rows, 1:]).all()
        assert (query_set.arrays.labels[part] == files.label_sparse[rows, 0]).all()


def test_the_set_is_seen_through_its_descriptor_alone(tmp_path: Path) -> None:
    query_set = QuerySet(files_in(write_dataset(tmp_path)), [0, 5], silent)
    other = SharedMemory(query_set.bytes, query_set.memory.descriptor)
    again = PairArrays(other, query_set.pairs)
    assert (again.dense == query_set.arrays.dense).all()
    query_set.arrays.labels[7] = 5.0
    assert again.labels[7] == 5.0


def test_a_query_for_an_unloaded_sample_is_refused(tmp_path: Path) -> None:
    query_set = QuerySet(files_in(write_dataset(tmp_path)), [0, 5], silent)
    with pytest.raises(StageError, match="sample 2 is in the query, but not in the set"):
        query_set.spans(np.array([0, 2]))


def test_an_unknown_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"it asked for 0\.\.6, but there are only samples 0\.\.5"):
        QuerySet(files_in(write_dataset(tmp_path)), [0, 6], silent)


@pytest.mark.parametrize("name", BINS[:2])
@pytest.mark.parametrize(
    ("change", "word"),
    [pytest.param(-1, "truncated", id="short"), pytest.param(+1, "too long", id="long")],
)
def test_a_bin_of_another_size_is_refused(
    tmp_path: Path, name: str, change: int, word: str
) -> None:
    path = write_dataset(tmp_path) / name
    size = path.stat().st_size
    path.write_bytes((path.read_bytes() + b"x")[: size + change])
    with pytest.raises(StageError) as refused:
        files_in(tmp_path)
    assert word in str(refused.value)
    assert name in str(refused.value)
    assert f"it has {size + change} bytes, but the trace's" in str(refused.value)
    assert f"rows need {size}." in str(refused.value)
    assert "force_stages=dataset" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("0, 100, 100\n100, 300, 100\n", "line 2 is '100, 300, 100'", id="length"),
        pytest.param("0, 100, 100\n101, 201, 100\n", "its start must be 100", id="gap"),
        pytest.param("0, 0, 0\n", "its length end - start, more than 0", id="empty sample"),
        pytest.param("0, 100\n", "is not 'start, end, length'", id="columns"),
        pytest.param("0, 1OO, 100\n", "is not 'start, end, length'", id="letters"),
        pytest.param("", "lists no samples", id="empty file"),
    ],
)
def test_a_broken_trace_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "aggregation_trace.txt"
    path.write_text(text)
    with pytest.raises(StageError) as refused:
        read_trace(path)
    assert words in str(refused.value)


def test_files_that_disagree_with_dataset_json_are_refused(tmp_path: Path) -> None:
    files = files_in(write_dataset(tmp_path))
    files.check_promise({"rows": files.rows, "samples": files.samples}, tmp_path)
    with pytest.raises(StageError, match="promises 7 samples, but the trace has 6"):
        files.check_promise({"rows": files.rows, "samples": 7}, tmp_path)

"""Reads what torchrec and torchsnapshot wrote (snapshots/write_torchrec_snapshot.py)."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlrm_bench.network.dlrm import row_counts, weight_shapes
from dlrm_bench.weights.named import TableRows, compact_ids, snapshot_name
from dlrm_bench.weights.snapshot import METADATA, Snapshot

DATA = Path(__file__).parents[1] / "snapshots"
BAGS = "model.sparse_arch.embedding_bag_collection.embedding_bags"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("writer", DATA / "write_torchrec_snapshot.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.unpack_archive(DATA / "torchrec_snapshot.tar.gz", tmp_path)
    return tmp_path / "torchrec_snapshot"


def wanted(snapshot: Snapshot) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in snapshot.tensors.items()}


def test_holds_the_51_tensors_under_the_names_the_dump_is_made_from(folder: Path) -> None:
    names = {snapshot_name(name) for name in weight_shapes(row_counts(None))}
    assert set(Snapshot(folder).tensors) == names
    assert len(names) == 51


def test_is_sharded_cut_chunked_and_batched_as_at_full_size(folder: Path) -> None:
    text = (folder / METADATA).read_text()
    assert '"type": "ShardedTensor"' in text
    assert '"type": "ChunkedTensor"' in text
    snapshot = Snapshot(folder)
    # 400 rows over 8 ranks, each shard cut in two; 403 rows leave the last rank fewer.
    assert len(snapshot.tensors[f"{BAGS}.t_cat_0.weight"].pieces) == 16
    assert snapshot.tensors[f"{BAGS}.t_cat_9.weight"].shape == (403, 4)
    places = Counter(location.split("/")[0] for location in snapshot.files())
    assert {"sharded", "batched"} <= set(places)


def test_every_value_is_read(folder: Path) -> None:
    expected = generator().expected
    snapshot = Snapshot(folder)
    shapes = wanted(snapshot)
    assert snapshot.problems(shapes, more_rows=False) == []
    for name, shape in shapes.items():
        assert np.array_equal(snapshot.read(name, shape), expected(name, shape)), name


def test_rows_are_gathered_over_the_shards(folder: Path) -> None:
    expected = generator().expected
    snapshot = Snapshot(folder)
    for table in (0, 9, 19, 25):
        name = f"{BAGS}.t_cat_{table}.weight"
        shape = snapshot.tensors[name].shape
        whole = expected(name, shape)
        every_third = np.arange(0, shape[0], 3)
        taken = TableRows(snapshot, name).take(every_third)
        assert np.array_equal(taken, whole[every_third])


def test_ids_are_renumbered_over_the_rows_they_name() -> None:
    ids = np.random.default_rng(0).integers(0, 9, (50, 214), np.int32)
    local, needed = compact_ids(ids)
    assert local.dtype == np.int32
    column = 0
    for rows, hot in zip(needed, (3, 2, 1, 2, 6), strict=False):
        part = slice(column, column + hot)
        assert np.array_equal(rows[local[:, part]], ids[:, part])
        assert len(rows) == len(np.unique(ids[:, part]))
        column += hot


def test_each_missing_and_each_short_file_is_named(folder: Path) -> None:
    whole = Snapshot(folder)
    shapes = wanted(whole)
    for location in whole.files():
        path = folder / location
        content = path.read_bytes()
        path.unlink()
        (problem,) = Snapshot(folder).problems(shapes, more_rows=False)
        assert problem == f"file '{location}' is missing"
        path.write_bytes(content[:-1])
        (problem,) = Snapshot(folder).problems(shapes, more_rows=False)
        assert problem == (f"file '{location}' has {len(content) - 1} bytes, wanted {len(content)}")
        path.write_bytes(content)

"""The torchsnapshot reader and writer, and the model's names in a snapshot."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.network.dlrm import row_counts, weight_shapes
from dlrm_bench.weights.named import open_weights, snapshot_name
from dlrm_bench.weights.snapshot import METADATA, Snapshot
from dlrm_bench.weights.snapshot_writer import SnapshotWriter

# Written by torchsnapshot 0.1.0: Linear(5, 3) and EmbeddingBag(11, 4) of seed 0.
REAL = Path(__file__).parents[1] / "snapshots" / "torchsnapshot"
TABLE, BIAS = "model.table.weight", "model.bias"
ROWS, WIDTH = 20_001, 3


def open_in(folder: Path) -> Any:
    @contextmanager
    def open_output(name: str) -> Iterator[HashedFile]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            yield HashedFile(file)

    return open_output


@pytest.fixture
def table() -> np.ndarray[Any, Any]:
    return np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)


@pytest.fixture
def written(tmp_path: Path, table: np.ndarray[Any, Any]) -> Path:
    writer = SnapshotWriter(open_in(tmp_path))
    writer.table(TABLE, (ROWS, WIDTH), lambda a, b: iter([table[a:b]]))
    writer.slab({BIAS: np.array([1, 2, 3], np.float32), "model.w": np.eye(2, dtype=np.float32)})
    writer.close()
    return tmp_path


WANTED = {TABLE: (ROWS, WIDTH), BIAS: (3,), "model.w": (2, 2)}


def change(folder: Path, edit: Any) -> None:
    path = folder / METADATA
    document = yaml.safe_load(path.read_text())
    edit(document["manifest"])
    path.write_text(yaml.safe_dump(document))


def test_reads_what_torchsnapshot_wrote() -> None:
    snapshot = Snapshot(REAL)
    assert {n: t.shape for n, t in snapshot.tensors.items()} == {
        "lin.weight": (3, 5),
        "lin.bias": (3,),
        "emb.weight": (11, 4),
    }
    wanted = {n: t.shape for n, t in snapshot.tensors.items()}
    assert snapshot.problems(wanted, more_rows=False) == []
    # torch.manual_seed(0); Linear(5, 3).weight[0], to 4 digits.
    first = snapshot.read("lin.weight", (3, 5))[0].round(4).tolist()
    assert first == pytest.approx([-0.0033, 0.2399, -0.3681, -0.3291, -0.1722], abs=1e-4)


def test_reads_back_what_it_wrote_over_shards(written: Path, table: np.ndarray[Any, Any]) -> None:
    snapshot = Snapshot(written)
    assert snapshot.problems(WANTED, more_rows=False) == []
    assert len(snapshot.tensors[TABLE].pieces) == 8
    assert np.array_equal(snapshot.read(TABLE, (ROWS, WIDTH)), table)
    assert np.array_equal(snapshot.read(TABLE, (2600, WIDTH)), table[:2600])
    assert snapshot.read(BIAS, (3,)).tolist() == [1, 2, 3]
    assert snapshot.read("model.w", (2, 2)).tolist() == [[1, 0], [0, 1]]


def test_a_missing_and_a_short_shard_are_both_named(written: Path) -> None:
    shards = sorted((written / "sharded/model").iterdir())
    shards[2].unlink()
    shards[5].write_bytes(shards[5].read_bytes()[:-1])
    first, second = Snapshot(written).problems(WANTED, more_rows=False)
    assert first == f"file 'sharded/model/{shards[2].name}' is missing"
    assert f"'sharded/model/{shards[5].name}' has 3001" in second or "bytes, wanted" in second


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.pop(f"3/model/{TABLE}"), "has no shard for row 7503 of 20001"),
        (lambda m: m.pop(f"0/model/{BIAS}"), f"tensor '{BIAS}' is missing"),
        (
            lambda m: m[f"0/model/{BIAS}"].update(dtype="torch.float16"),
            "has dtype 'torch.float16', wanted 'torch.float32'",
        ),
        (
            lambda m: m[f"0/model/{BIAS}"].update(serializer="torch_save"),
            "is stored as 'torch_save'",
        ),
        (
            lambda m: m[f"0/model/{BIAS}"].update(shape=[4], byte_range=[0, 16]),
            "has shape [4], wanted [3]",
        ),
        (
            lambda m: m[f"1/model/{TABLE}"]["shards"][0].update(offsets=[2501, 1]),
            "sharded by columns",
        ),
    ],
)
def test_gaps_in_the_metadata_are_named(written: Path, edit: Any, words: str) -> None:
    change(written, edit)
    problems = Snapshot(written).problems(WANTED, more_rows=False)
    assert any(words in problem for problem in problems), problems


def test_more_rows_than_wanted_only_where_allowed(written: Path) -> None:
    wanted = {TABLE: (100, WIDTH)}
    assert Snapshot(written).problems(wanted, more_rows=True) == []
    assert "wanted [100, 3]" in Snapshot(written).problems(wanted, more_rows=False)[0]


def test_a_bias_kept_as_a_column_is_read(written: Path) -> None:
    change(written, lambda m: m[f"0/model/{BIAS}"].update(shape=[3, 1]))
    snapshot = Snapshot(written)
    assert snapshot.problems(WANTED, more_rows=False) == []
    assert snapshot.read(BIAS, (3,)).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda e: e.update(location="../../etc/passwd"), "not a plain path below the folder"),
        (lambda e: e.update(location="/etc/passwd"), "not a plain path below the folder"),
        (lambda e: e.update(shape=[-3]), "not all natural numbers"),
        (lambda e: e.update(byte_range=[-4, 8]), "not all natural numbers"),
        (lambda e: e.update(byte_range=["0", 12]), "not all natural numbers"),
        (lambda e: e.pop("dtype"), "KeyError: 'dtype'"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(written: Path, edit: Any, words: str) -> None:
    change(written, lambda manifest: edit(manifest[f"0/model/{BIAS}"]))
    with pytest.raises(StageError) as refused:
        Snapshot(written)
    assert words in str(refused.value)
    assert METADATA in str(refused.value)
    assert "Fetch the folder again" in str(refused.value)


@pytest.mark.parametrize("text", ["", "just words", "manifest: [", '{"manifest": {"a": 1}}'])
def test_metadata_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / METADATA).write_text(text)
    with pytest.raises(StageError, match="not a torchsnapshot's metadata"):
        Snapshot(tmp_path)


def test_weights_with_gaps_are_refused_with_the_names(tmp_path: Path) -> None:
    shutil.copytree(REAL, tmp_path / "x")
    with pytest.raises(StageError) as refused:
        open_weights(tmp_path / "x", row_counts(100))
    assert "t_cat_0.weight' is missing" in str(refused.value)
    assert "and 46 more" in str(refused.value)


def test_names_are_those_of_torchrec() -> None:
    # As listed in the published snapshot's metadata.
    assert snapshot_name("dense_arch.model._mlp.4.bias") == (
        "model.dense_arch.model._mlp.2._linear.bias"
    )
    assert snapshot_name("over_arch.model._mlp.6.weight") == (
        "model.over_arch.model.0._mlp.3._linear.weight"
    )
    assert snapshot_name("over_arch.model._mlp.8.bias") == "model.over_arch.model.1.bias"
    assert snapshot_name("inter_arch.crossnet.MLPs.W2.bias") == "model.inter_arch.crossnet.bias.2"
    assert snapshot_name("sparse_arch.embedding_bag_collection.embedding_bags.7.weight") == (
        "model.sparse_arch.embedding_bag_collection.embedding_bags.t_cat_7.weight"
    )
    names = list(weight_shapes(row_counts(None)))
    assert len(names) == len({snapshot_name(name) for name in names}) == 51


def test_hashed_file_hashes_what_it_writes(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        hashed = HashedFile(file)
        hashed.write(np.arange(6, dtype=np.int32).reshape(2, 3))
        hashed.write(b"end")
    content = (tmp_path / "x").read_bytes()
    assert (hashed.bytes, hashed.hexdigest()) == (27, hashlib.sha256(content).hexdigest())

"""The fp32 dump, the int8 file, and the engines that run them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_file import write
from sklearn.metrics import roc_auc_score

from conftest import Pipeline
from dlrm_bench.engines.choice import Engine, load_engine
from dlrm_bench.frame.errors import StageError
from dlrm_bench.int8.fit import quantize_rows
from dlrm_bench.int8.model import exact_int8_product, load_int8
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import row_counts, weight_shapes
from dlrm_bench.weights.dump import load_dump
from dlrm_bench.weights.named import snapshot_name
from dlrm_bench.weights.snapshot import Snapshot

ROWS = row_counts(3000)


@pytest.fixture(scope="module")
def dump(demo: Pipeline) -> Path:
    return demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"


@pytest.fixture(scope="module")
def int8(demo: Pipeline) -> Path:
    return demo.stages["calibrate"].output / "dlrm_int8.pt"


@pytest.fixture(scope="module")
def pairs(demo: Pipeline) -> tuple[Array, Array, Array]:
    """dense, ids and fp32 probability of the test half."""
    folder = demo.stages["dataset"].output
    dense = np.fromfile(folder / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    both = np.fromfile(folder / "terabyte_processed_test_v2_label_sparse.bin", "<i4")
    return dense, both.reshape(-1, 215)[:, 1:], np.load(folder / "planted_probability.npy")


@pytest.fixture(scope="module")
def engine(int8: Path) -> Engine:
    return load_engine("int8", int8, ROWS)


def soft_auc(p: Array, scores: Array) -> float:
    """AUC if each pair is positive with weight p and negative with weight 1 - p."""
    truth, weight = np.repeat([1, 0], len(p)), np.concatenate([p, 1 - p])
    return float(roc_auc_score(truth, np.concatenate([scores, scores]), sample_weight=weight))


def test_the_dump_is_a_plain_state_dict_of_the_snapshot(demo: Pipeline, dump: Path) -> None:
    loaded = torch.load(dump, weights_only=True, mmap=True)
    assert type(loaded) is dict
    assert list(loaded) == list(weight_shapes(ROWS))
    snapshot = Snapshot(demo.stages["weights"].output / "model_weights")
    for name, tensor in loaded.items():
        assert tensor.dtype == torch.float32
        assert tensor.data_ptr() % 64 == 0
        wanted = snapshot.read(snapshot_name(name), tuple(tensor.shape))
        assert np.array_equal(tensor.numpy(), wanted)
    # Also as the published recipe loads it: the whole file in memory.
    whole = torch.load(dump, weights_only=True)
    assert all(torch.equal(whole[name], loaded[name]) for name in loaded)


@pytest.mark.parametrize("stage", ["dump", "calibrate"])
def test_the_same_inputs_give_the_same_bytes(demo: Pipeline, tmp_path: Path, stage: str) -> None:
    again = Pipeline(tmp_path, **demo.parameters)
    again.stages.update({s: r for s, r in demo.stages.items() if s != stage})
    found = again.run(stage).document()["outputs"]
    assert found == demo.stages[stage].document()["outputs"]
    for output in found:
        content = (again.stages[stage].output / output["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == output["sha256"]


def test_fp32_scores_are_the_planted_ones(dump: Path, pairs: tuple[Array, Array, Array]) -> None:
    dense, ids, p = pairs
    scores = load_engine("fp32", dump, ROWS).forward(dense[:1000], ids[:1000])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, p[:1000], rtol=1e-4)


def test_int8_keeps_the_auc(engine: Engine, pairs: tuple[Array, Array, Array]) -> None:
    dense, ids, p = pairs
    p = p.astype(np.float64)
    scores = engine.forward(dense, ids)
    assert soft_auc(p, scores) >= 0.999 * soft_auc(p, p)
    logit = np.log(scores / (1.0 - scores)) - np.log(p / (1 - p))
    assert np.sqrt((logit**2).mean()) < 0.15


def test_int8_bits_do_not_depend_on_the_batch(
    engine: Engine, pairs: tuple[Array, Array, Array]
) -> None:
    dense, ids = pairs[0][:600], pairs[1][:600]
    wanted = engine.forward(dense, ids)
    for size in (1, 2, 63, 64, 65, 255, 257, 599):
        parts = [
            engine.forward(dense[a : a + size], ids[a : a + size]) for a in range(0, 600, size)
        ]
        assert np.array_equal(np.concatenate(parts), wanted), size
    order = np.random.default_rng(0).permutation(600)
    assert np.array_equal(engine.forward(dense[order], ids[order]), wanted[order])


def test_int8_scores_depend_on_every_feature(
    engine: Engine, pairs: tuple[Array, Array, Array]
) -> None:
    dense, ids = pairs[0][:1].repeat(227, 0), pairs[1][:1].repeat(227, 0)
    alone = engine.forward(dense[:1], ids[:1])[0]
    for column in range(13):
        dense[column, column] += 3.0
    limits = np.repeat(
        ROWS, [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1]
    )
    for column in range(214):
        ids[13 + column, column] = (ids[13 + column, column] + 1) % limits[column]
    scores = engine.forward(dense, ids)
    assert (scores != alone).mean() > 0.98


def test_an_id_beyond_its_table_is_no_score(
    engine: Engine, dump: Path, pairs: tuple[Array, Array, Array]
) -> None:
    ids = pairs[1][:3].copy()
    ids[1, 213] = ROWS[25]
    for each in (engine, load_engine("fp32", dump, ROWS)):
        with pytest.raises(RuntimeError):
            each.forward(pairs[0][:3], ids)


def test_calibrate_reports_each_layers_error(demo: Pipeline) -> None:
    errors = demo.stages["calibrate"].document()["facts"]["errors"]
    assert len(errors["layers"]) == 12
    assert all(0 < layer["rms"] < 0.1 for layer in errors["layers"].values())
    assert 0 < errors["logit_rms"] < errors["logit_p99_9"]


def test_the_file_names_its_source_and_holds_only_plain_values(demo: Pipeline, int8: Path) -> None:
    content = load_int8(int8, ROWS)
    (source,) = demo.stages["dump"].document()["outputs"]
    assert content["source_sha256"] == source["sha256"]
    kinds = {type(value) for value in content.values()}
    assert kinds == {str, int, list, torch.Tensor}


def test_embedding_rows_are_within_half_a_step() -> None:
    rows = torch.randn(7, 128, generator=torch.Generator().manual_seed(0))
    rows[2] = 0.25
    packed = torch.from_numpy(quantize_rows(rows))
    ends = packed[:, 128:].contiguous().view(torch.float32)
    decoded = packed[:, :128] * ends[:, :1] + ends[:, 1:]
    assert torch.all((decoded - rows).abs() <= ends[:, :1] * 0.501 + 1e-6)
    bags = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
        packed, torch.arange(7), torch.arange(7)
    )
    torch.testing.assert_close(bags, decoded)


def test_this_machine_multiplies_int8_exactly() -> None:
    assert exact_int8_product()


def refusal(load: Any, path: Path, rows: tuple[int, ...] = ROWS) -> str:
    with pytest.raises(StageError) as refused:
        load(path, rows)
    assert str(path) in str(refused.value)
    return str(refused.value)


def test_other_files_are_refused_as_int8(int8: Path, dump: Path, tmp_path: Path) -> None:
    content = dict(load_int8(int8, ROWS))
    assert "it is an fp32 dump" in refusal(load_int8, dump)
    assert "tables have" in refusal(load_int8, int8, row_counts(2999))
    newer = write(tmp_path / "newer.pt", {**content, "version": 2})
    assert "version is 2, this image reads 1" in refusal(load_int8, newer)
    foreign = write(tmp_path / "foreign.pt", {**content, "format": "other"})
    assert "its format is 'other'" in refusal(load_int8, foreign)
    name = "over_arch.model._mlp.0.codes"
    gap = write(tmp_path / "gap.pt", {n: v for n, v in content.items() if n != name})
    assert f"tensor '{name}' is missing" in refusal(load_int8, gap)


def test_a_pickled_module_is_refused_unread(tmp_path: Path) -> None:
    # A file as upstream writes it: loading it would run code.
    path = tmp_path / "aarch64_dlrm_int8.pt"
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), path)
    assert "a pickle that holds code" in refusal(load_int8, path)
    assert "a pickle that holds code" in refusal(load_dump, path)


def test_other_files_are_refused_as_fp32(int8: Path, dump: Path, tmp_path: Path) -> None:
    assert "dlrm-fleet native int8" in refusal(load_dump, int8)
    assert "has shape" in refusal(load_dump, dump, row_counts(2999))
    cut = tmp_path / "cut.pt"
    cut.write_bytes(dump.read_bytes()[:-1000])
    assert "not a whole PyTorch file" in refusal(load_dump, cut)
    plain = tmp_path / "list.pt"
    torch.save([torch.zeros(1)], plain)
    assert "holds a list, wanted a dict" in refusal(load_dump, plain)

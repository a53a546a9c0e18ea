"""The fused int8 kernel against the operations of int8/model.py, on all instruction sets here."""

from __future__ import annotations

import itertools
import logging
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_file import write

from conftest import Pipeline
from dlrm_bench.engines import choice as engines
from dlrm_bench.engines.kernel import KernelModel, instruction_sets
from dlrm_bench.frame.errors import StageError
from dlrm_bench.int8.model import Int8Model, load_int8, quantized_layers
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import row_counts, table_name

ROWS = row_counts(3000)


@pytest.fixture(scope="module")
def path(demo: Pipeline) -> Path:
    return demo.stages["calibrate"].output / "dlrm_int8.pt"


@pytest.fixture(scope="module")
def content(path: Path) -> dict[str, Any]:
    return load_int8(path, ROWS)


@pytest.fixture(scope="module")
def pairs(demo: Pipeline) -> tuple[Array, Array]:
    folder = demo.stages["dataset"].output
    dense = np.fromfile(folder / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    both = np.fromfile(folder / "terabyte_processed_test_v2_label_sparse.bin", "<i4")
    return dense[:600], np.ascontiguousarray(both.reshape(-1, 215)[:600, 1:])


def heavy_tailed(content: dict[str, Any]) -> dict[str, Any]:
    """Output channels stretched unevenly: one code more or less then changes a score much."""
    rng = np.random.default_rng(0)
    stretched = dict(content)
    for name in quantized_layers():
        scale = content[f"{name}.scale"]
        factors = np.sqrt(3 / rng.chisquare(5, len(scale))).astype(np.float32)
        stretched[f"{name}.scale"] = scale * torch.from_numpy(factors)
    return stretched


# Nobody has compared PyTorch's order of operations in embeddings and first layer elsewhere.
@pytest.mark.skipif(platform.machine() != "x86_64", reason="bits compared on x86-64 only")
@pytest.mark.parametrize("stretch", [dict, heavy_tailed])
def test_scores_are_those_of_the_operations_to_the_last_bit(
    content: dict[str, Any],
    pairs: tuple[Array, Array],
    stretch: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    stretched = stretch(content)
    wanted = Int8Model(stretched).forward(*map(torch.from_numpy, pairs)).numpy()
    assert wanted.std() > 0.01
    for name in instruction_sets():
        assert np.array_equal(KernelModel(stretched, name, 256).forward(*pairs), wanted), name


def test_every_instruction_set_gives_the_same_bits_whatever_the_batch(
    content: dict[str, Any], pairs: tuple[Array, Array]
) -> None:
    dense, ids = pairs[0][:150], pairs[1][:150]
    wanted = KernelModel(content, "portable", 64).forward(dense, ids)
    assert np.isfinite(wanted).all()
    fast = [name for name in instruction_sets() if name != "portable"]
    for name in fast:
        for most in (1, 13, 100, 256):
            model = KernelModel(content, name, most)
            for size in (1, 2, 15, 29, 150):
                parts = [
                    model.forward(dense[a : a + size], ids[a : a + size])
                    for a in range(0, 150, size)
                ]
                assert np.array_equal(np.concatenate(parts), wanted), (name, most, size)
        order = np.random.default_rng(0).permutation(150)
        found = KernelModel(content, name, 256).forward(dense[order], ids[order])
        assert np.array_equal(found, wanted[order])


def test_the_portable_path_does_not_depend_on_the_batch(
    content: dict[str, Any], pairs: tuple[Array, Array]
) -> None:
    model = KernelModel(content, "portable", 3)
    wanted = model.forward(pairs[0][:7], pairs[1][:7])
    for pair in range(7):
        some = slice(pair, pair + 1)
        assert model.forward(pairs[0][some], pairs[1][some])[0] == wanted[pair]


def test_values_that_are_not_finite_give_no_score(
    content: dict[str, Any], pairs: tuple[Array, Array]
) -> None:
    dense, ids = pairs[0][:3].copy(), pairs[1][:3].copy()
    rows = content[f"{table_name(7)}.rows"].clone()
    broken = {**content, f"{table_name(7)}.rows": rows}
    column = 3 + 2 + 1 + 2 + 6 + 1 + 1
    ids[:, column] = [0, 1, 2]
    ids[2, column] = 1 if ids[0, column] else 0
    rows[1, 128:132] = torch.tensor([np.nan]).view(torch.uint8)
    for name in instruction_sets():
        assert list(np.isnan(KernelModel(broken, name, 64).forward(dense, ids))) == [0, 1, 0]
        for value in (np.nan, np.inf):
            wrong = dense.copy()
            wrong[2, 5] = value
            assert list(np.isnan(KernelModel(content, name, 64).forward(wrong, ids))) == [0, 0, 1]


def test_weights_that_are_not_finite_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        for part in ("scale", "bias"):
            name = f"over_arch.model._mlp.2.{part}"
            tensor = content[name].clone()
            tensor[3] = value
            path = write(tmp_path / "model.pt", {**content, name: tensor})
            with pytest.raises(StageError, match=f"'{name}' holds values that are not finite"):
                engines.load_engine("int8", path, ROWS)


def test_an_id_beyond_its_table_is_named(
    content: dict[str, Any], pairs: tuple[Array, Array]
) -> None:
    # The first pair of the second block, and a later one.
    for name, pair in itertools.product(instruction_sets(), (64, 66)):
        for value in (-1, ROWS[25]):
            ids = pairs[1][:70].copy()
            ids[pair, 213] = value
            with pytest.raises(RuntimeError, match=f"id {value} of pair {pair}, column 213"):
                KernelModel(content, name, 64).forward(pairs[0][:70], ids)


def test_the_engine_is_the_fastest_here_or_says_why_not(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(engines.force("int8"), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(engines, "instruction_sets", lambda: ["portable"])
    assert isinstance(engines.load_engine("int8", path, ROWS), engines.Int8Engine)
    assert "the kernel has no instruction set of this CPU" in caplog.text
    monkeypatch.setattr(engines, "instruction_sets", instruction_sets)
    best = instruction_sets()[0]
    if best != "portable":
        engine = engines.load_engine("int8", path, ROWS)
        assert isinstance(engine, engines.Int8KernelEngine)
        assert engine.name == f"Int8KernelEngine {best}"
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
        assert isinstance(engines.load_engine("int8", path, ROWS), engines.Int8Engine)
        assert "this CPU has AMX" in caplog.text


def test_an_instruction_set_can_be_forced_but_not_one_that_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch, pairs: tuple[Array, Array]
) -> None:
    monkeypatch.setenv(engines.force("int8"), "portable")
    engine = engines.load_engine("int8", path, ROWS)
    assert engine.name == "Int8KernelEngine portable"  # type: ignore[attr-defined]
    assert engine.forward(pairs[0][:2], pairs[1][:2]).shape == (2,)
    monkeypatch.setenv(engines.force("int8"), "no such set")
    with pytest.raises(StageError, match="there is no int8 engine 'no such set'"):
        engines.load_engine("int8", path, ROWS)

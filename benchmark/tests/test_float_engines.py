"""The bfloat16 engine against fp32, on the demo's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import Pipeline
from dlrm_bench.bf16 import LAST, Bf16Model
from dlrm_bench.dump import load_dump
from dlrm_bench.engines import Engine, load_engine
from dlrm_bench.model import row_counts
from dlrm_bench.scorer import soft_auc
from dlrm_bench.stages.performance import REFERENCE_TOLERANCE

ROWS = row_counts(3000)
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def dump(demo: Pipeline) -> Path:
    return demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"


@pytest.fixture(scope="module")
def engine(dump: Path) -> Engine:
    return load_engine("bf16", dump, ROWS)


@pytest.fixture(scope="module")
def pairs(demo: Pipeline) -> tuple[Array, Array, Array]:
    """dense, ids and fp32 probability of the test half."""
    folder = demo.stages["dataset"].output
    dense = np.fromfile(folder / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    both = np.fromfile(folder / "terabyte_processed_test_v2_label_sparse.bin", "<i4")
    return dense, both.reshape(-1, 215)[:, 1:], np.load(folder / "planted_probability.npy")


def test_bf16_keeps_the_auc(engine: Engine, pairs: tuple[Array, Array, Array]) -> None:
    dense, ids, p = (part[:1500] for part in pairs)
    scores = engine.forward(dense, ids)
    assert scores.dtype == np.float32
    assert soft_auc(scores, p) >= 0.9999 * soft_auc(p, p)
    # The products are bfloat16's: fp32's would agree a thousand times better.
    assert 1e-4 < np.abs(scores - p).max() < REFERENCE_TOLERANCE["bf16"]


def test_bf16_bits_do_not_depend_on_the_batch(
    engine: Engine, pairs: tuple[Array, Array, Array]
) -> None:
    dense, ids = pairs[0][:600], pairs[1][:600]
    wanted = engine.forward(dense, ids)
    for part in (slice(7, 8), slice(1, 64), slice(64, 128), slice(3, 68), slice(300, 557)):
        assert np.array_equal(engine.forward(dense[part], ids[part]), wanted[part]), part


def test_embeddings_are_the_dumps_own_pages(dump: Path) -> None:
    model = Bf16Model(load_dump(dump, ROWS))
    assert {tensor.dtype for tensor in model._rounded.values()} == {torch.bfloat16}
    assert not [name for name in model._rounded if "embedding" in name or name.startswith(LAST)]

"""The engines of fp32 and bf16, PyTorch's and OpenVINO's, on the demo's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import Pipeline
from dlrm_bench.engines import choice as engines
from dlrm_bench.engines.bf16 import LAST, Bf16Model
from dlrm_bench.engines.openvino import why_not
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.measure.scorer import soft_auc
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import ID_COLUMNS, bottom_name, row_counts, table_name
from dlrm_bench.network.reference import plain_forward

ROWS = row_counts(3000)
#: More than two calls of any engine.
PAIRS = 2500
Pairs = tuple[Array, Array, Array]


def skip_where_bits_differ(load: Loader) -> None:
    """With AMX, oneDNN chooses another bf16 product for another number of rows."""
    amx = torch.cpu._is_amx_tile_supported()
    if amx and (load.precision, load.engine) == ("bf16", engines.PYTORCH):
        pytest.skip("with AMX, the bits of PyTorch's bf16 product depend on the batch")


class Loader:
    """One engine of one precision, over any dump."""

    def __init__(self, precision: str, engine: str) -> None:
        self.precision, self.engine = precision, engine

    def __call__(self, dump: Path) -> engines.Engine:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(engines.force(self.precision), self.engine)
            return engines.load_engine(self.precision, dump, ROWS)


@pytest.fixture(
    scope="module",
    params=[(p, e) for p in ("fp32", "bf16") for e in (engines.PYTORCH, engines.OPENVINO)],
    ids=lambda param: "-".join(param),
)
def load(request: pytest.FixtureRequest) -> Loader:
    precision, engine = request.param
    if engine == engines.OPENVINO:
        why = why_not(precision)
        assert "not installed" not in why, why
        if why:
            pytest.skip(why)
    return Loader(precision, engine)


@pytest.fixture(scope="module")
def dump(demo: Pipeline) -> Path:
    return demo.stages["dump"].output / "dlrm-multihot-pytorch.pt"


@pytest.fixture(scope="module")
def engine(load: Loader, dump: Path) -> engines.Engine:
    return load(dump)


@pytest.fixture(scope="module")
def pairs(demo: Pipeline) -> Pairs:
    """dense, ids and fp32 probability of the test half."""
    folder = demo.stages["dataset"].output
    dense = np.fromfile(folder / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    both = np.fromfile(folder / "terabyte_processed_test_v2_label_sparse.bin", "<i4")
    ids, p = both.reshape(-1, 215)[:, 1:], np.load(folder / "planted_probability.npy")
    return dense[:PAIRS], ids[:PAIRS], p[:PAIRS]


@pytest.fixture(scope="module")
def wanted(engine: engines.Engine, pairs: Pairs) -> Array:
    """The engine's scores of all pairs, in one call."""
    return engine.forward(*pairs[:2])


def test_scores_are_the_plain_forwards(
    load: Loader, dump: Path, pairs: Pairs, wanted: Array
) -> None:
    difference = float(np.abs(wanted - plain_forward(dump)(*pairs[:2])).max())
    assert wanted.dtype == np.float32
    assert difference < PRECISIONS[load.precision].tolerance
    # The products are bfloat16: fp32's agree a thousand times better.
    assert (difference > 1e-4) is (load.precision == "bf16")


def test_the_auc_is_kept(load: Loader, pairs: Pairs, wanted: Array) -> None:
    p = pairs[2]
    least = 0.9999 if load.precision == "bf16" else 0.999999
    assert soft_auc(wanted, p) >= least * soft_auc(p, p)


def test_bits_do_not_depend_on_the_batch(
    load: Loader, engine: engines.Engine, pairs: Pairs, wanted: Array
) -> None:
    skip_where_bits_differ(load)
    dense, ids = pairs[:2]
    borders = [(7, 8), (1, 64), (64, 128), (3, 68), (300, 557), (511, 1601), (1023, 1025)]
    parts = [np.arange(*border) for border in borders]
    shuffled = np.random.default_rng(1).permutation(PAIRS)
    # Every number of rows that a call may be padded to, with pairs in another order each time.
    parts += [shuffled[:count] for count in range(64, engine.best_batch + 1, 64)]
    parts += [shuffled, shuffled[:1], np.full(700, 5)]
    for part in parts:
        assert np.array_equal(engine.forward(dense[part], ids[part]), wanted[part]), part[:3]


def test_bits_do_not_depend_on_the_worker(
    load: Loader, dump: Path, pairs: Pairs, wanted: Array
) -> None:
    assert np.array_equal(load(dump).forward(*pairs[:2]), wanted)


def changed(dump: Path, folder: Path, name: str, index: tuple[int, int], value: float) -> Path:
    """The dump with one value of one tensor changed."""
    weights = torch.load(dump, weights_only=True)
    weights[name][index] = value
    path = folder / dump.name
    torch.save(weights, path)
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pair_that_is_not_finite_has_no_score(
    load: Loader, engine: engines.Engine, pairs: Pairs, wanted: Array, dump: Path, value: float
) -> None:
    skip_where_bits_differ(load)
    dense, ids = pairs[0][:100].copy(), pairs[1][:100]
    dense[41, 6] = value
    scores = engine.forward(dense, ids)
    # The plain forward gives no score either, and a worker refuses to answer NaN.
    assert np.isnan(plain_forward(dump)(dense, ids)).nonzero()[0].tolist() == [41]
    assert np.isnan(scores).nonzero()[0].tolist() == [41]
    others = np.arange(100) != 41
    assert np.array_equal(scores[others], wanted[:100][others])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_table_row_that_is_not_finite_gives_no_score(
    load: Loader, pairs: Pairs, wanted: Array, dump: Path, tmp_path: Path, value: float
) -> None:
    skip_where_bits_differ(load)
    dense, ids = pairs[0][:100], pairs[1][:100]
    row = int(ids[41, ID_COLUMNS[9]])
    path = changed(dump, tmp_path, table_name(9), (row, 127), value)
    scores, plain = load(path).forward(dense, ids), plain_forward(path)(dense, ids)
    assert 41 in np.isnan(plain).nonzero()[0]
    assert np.array_equal(np.isnan(scores), np.isnan(plain))
    others = ~np.isnan(plain)
    assert np.array_equal(scores[others], wanted[:100][others])


def test_an_id_beyond_its_table_is_refused(engine: engines.Engine, pairs: Pairs) -> None:
    ids = pairs[1][:70].copy()
    for value in (-1, ROWS[25]):
        ids[66, 213] = value
        with pytest.raises(RuntimeError):
            engine.forward(pairs[0][:70], ids)


def test_the_tables_are_the_dumps_own_pages(load: Loader, dump: Path) -> None:
    engine: Any = load(dump)
    by_pytorch = load.engine == engines.PYTORCH
    table = engine._model._weights[table_name(0)] if by_pytorch else engine._tables[0]
    start, size = table.data_ptr(), table.nbytes
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_ = line.split()
        low, high = (int(end, 16) for end in span.split("-"))
        if low <= start and start + size <= high:
            assert line.endswith(str(dump.resolve()))
            return
    pytest.fail("the table lies in no mapping")


def test_bf16s_rounded_weights_are_the_linear_layers() -> None:
    weights = {f"{name}.weight": torch.ones(2, 2) for name in (bottom_name(0), LAST)} | {
        table_name(0): torch.ones(2, 2)
    }
    rounded = Bf16Model(weights)._rounded
    assert list(rounded) == [f"{bottom_name(0)}.weight"]
    assert rounded[f"{bottom_name(0)}.weight"].dtype == torch.bfloat16

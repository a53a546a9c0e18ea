"""What is measured: the product's engines and the published recipe's arithmetic, on the same pairs.

RECIPE.py rebuilds the recipe's arithmetic: recipe(weights, rows, precision, calibration) returns a
forward of dense float32 [pairs, 13] and 26 id vectors int64 [pairs * hot]. It is no part of the
product; where none is given, the engines are measured alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from dlrm_bench.data import synthetic
from dlrm_bench.engines import choice as engines
from dlrm_bench.frame.errors import StageError
from dlrm_bench.memory.placed_model import place
from dlrm_bench.memory.resident import adopt_shared
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import ID_COLUMNS, MULTI_HOT, TABLES
from dlrm_bench.weights.dump import load_dump
from dlrm_bench.workers.process import populate_mappings

#: What the engine is measured beside where load_engine gives another.
PYTORCH: dict[str, Callable[[Path, Sequence[int]], engines.Engine]] = {
    "int8": engines.Int8Engine,
    "fp32": engines.Fp32Engine,
    "bf16": engines.Bf16Engine,
}
#: Pairs of each of the four batches that calibrate the recipe, and the first one's number.
CALIBRATION_PAIRS, CALIBRATION = 4096, 3_000_000


class Pairs:
    """Pairs in the form of each engine, made before anything is timed."""

    def __init__(self, dense: Array, ids: Array) -> None:
        """`dense` float32 [pairs, 13], `ids` int32 [pairs, 214], as the product's engines."""
        self.dense, self.ids = dense, ids
        wide = torch.from_numpy(ids).long()
        columns = zip(ID_COLUMNS, MULTI_HOT, strict=True)
        self.recipes = (
            torch.from_numpy(dense),
            [wide[:, first : first + hot].reshape(-1).contiguous() for first, hot in columns],
        )

    def __len__(self) -> int:
        return len(self.dense)

    def cut(self, size: int) -> list[Pairs]:
        """Whole batches of `size`, the rest left out; at least one, which may be smaller."""
        starts = range(0, max(len(self) - size, 0) + 1, size)
        return [Pairs(self.dense[at : at + size], self.ids[at : at + size]) for at in starts]


def made_up(count: int, rows: Sequence[int], seed: int, number: int) -> tuple[Array, Array]:
    """Dense and ids of pairs that are alike for any number, never the same for two."""
    # Seeds apart from those the weights and the data set were made with.
    dense = synthetic.dense_features(1000 + seed, number, count)
    columns = [
        synthetic.table_ids(1000 + seed, table, number, count, rows[table])
        for table in range(TABLES)
    ]
    return dense, np.concatenate(columns, 1)


def fresh_pairs(count: int, rows: Sequence[int], seed: int, number: int) -> Pairs:
    """Made-up pairs in the form of each engine."""
    return Pairs(*made_up(count, rows, seed, number))


Forward = Callable[[Pairs], Array]


class Product:
    """One of the product's engines as a forward of Pairs."""

    def __init__(self, engine: engines.Engine) -> None:
        self.name = str(getattr(engine, "name", type(engine).__name__))
        self.best_batch, self._engine = engine.best_batch, engine

    def __call__(self, pairs: Pairs) -> Array:
        """Probabilities float32 [pairs]."""
        return self.forward(pairs.dense, pairs.ids)

    def forward(self, dense: Array, ids: Array) -> Array:
        """Probabilities float32 [pairs] of float32 [pairs, 13] and int32 [pairs, 214]."""
        with torch.inference_mode():
            return self._engine.forward(dense, ids)


def keep_heap() -> None:
    """Have malloc keep what is freed, in this process.

    By glibc's defaults the recipe's tensors are new, zeroed pages in some calls and not in others,
    as the heap happened to lie: at 1,024 pairs a call it does 21.3 or 24.0 thousand pairs a second.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h's M_TRIM_THRESHOLD, M_MMAP_MAX
    mallopt = ctypes.CDLL(None).mallopt
    if not (mallopt(trim_threshold, 2**31 - 1) and mallopt(mmap_max, 0)):
        raise SystemExit("malloc did not take what the recipe's arithmetic is measured with.")


class Published:
    """The published recipe's arithmetic; beside bf16, which it does not have, its fp32."""

    name = "the recipe's arithmetic"

    def __init__(self, path: Path, precision: str, dump: Path, rows: Sequence[int]) -> None:
        torch.set_num_threads(1)
        keep_heap()
        spec = importlib.util.spec_from_file_location("published_recipe", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        numbers = range(CALIBRATION, CALIBRATION + 4)
        calibration = [fresh_pairs(CALIBRATION_PAIRS, rows, 1, n).recipes for n in numbers]
        kind = "int8" if precision == "int8" else "fp32"
        with torch.no_grad():
            self._forward = module.recipe(load_dump(dump, rows), list(rows), kind, calibration)

    def __call__(self, pairs: Pairs) -> Array:
        """Probabilities float32 [pairs]."""
        with torch.inference_mode():
            return np.asarray(self._forward(*pairs.recipes)).ravel()


def product(precision: str, model: Path, rows: Sequence[int]) -> Product:
    """What load_engine gives, its model placed as a run places it for a worker on this CPU."""
    cpus = os.sched_getaffinity(0)
    placed = place(model, cpus, precision == "int8", 0, lambda _done, _of: None)
    descriptor = placed.descriptor(min(cpus))
    if descriptor is None:
        engine = Product(engines.load_engine(precision, model, rows))
        populate_mappings(model)
        return engine
    copy = adopt_shared(model, os.dup(descriptor))
    placed.close()
    copy.populate()
    return Product(engines.load_engine(precision, model, rows))


def pytorch(precision: str, model: Path, rows: Sequence[int], beside: str) -> Product | None:
    """PyTorch's engine where it is another than `beside` and this CPU runs it."""
    try:
        engine = Product(PYTORCH[precision](model, rows))
    except StageError:
        return None
    return None if engine.name == beside else engine

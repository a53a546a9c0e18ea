"""Synthetic weights and click logs by a fixed random seed, shaped like the real ones; demo only.

Every block of rows has a generator of its own, so a block's bytes depend on nothing before it.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import (
    DENSE_FEATURES,
    DIM,
    MULTI_HOT,
    OVER,
    TABLES,
    Fp32Model,
    over_name,
    table_name,
    weight_shapes,
)

# Small, since a shard that begins inside a block generates the whole block again.
BLOCK_ROWS = 4096
LOGIT_STD, LOGIT_MEAN = 1.7, -2.0
SCALING_PAIRS = 2048
LABEL_RATE = 0.03
_WEIGHTS, _DENSE_WEIGHTS, _IDS, _DENSE, _LABELS, _SCALING = range(6)


def generator(*words: int) -> np.random.Generator:
    """The random stream of one seed, purpose and block."""
    return np.random.Generator(np.random.SFC64(words))


@functools.cache
def _spread(sigma: float) -> Array:
    """1024 quantiles of a log-normal; unlike a vectorised exp, they are equal on every CPU."""
    normal = statistics.NormalDist()
    quantiles = [math.exp(sigma * normal.inv_cdf((n + 0.5) / 1024)) for n in range(1024)]
    return np.array(quantiles, np.float32)


def _normal_rows(
    rng: np.random.Generator, rows: int, width: int, gain: float, sigma: float
) -> Array:
    norms = _spread(sigma)[rng.integers(0, 1024, rows)] * np.float32(gain)
    values: Array = rng.standard_normal((rows, width), np.float32)
    values *= norms[:, None]
    return values


def table_rows(seed: int, table: int, start: int, stop: int) -> Iterator[Array]:
    """Yield rows start..stop of an embedding table in blocks, float32 [rows, 128]."""
    gain = 0.5 / MULTI_HOT[table] ** 0.5
    while start < stop:
        block, inside = divmod(start, BLOCK_ROWS)
        count = min(BLOCK_ROWS - inside, stop - start)
        rng = generator(seed, _WEIGHTS, table, block)
        yield _normal_rows(rng, BLOCK_ROWS, DIM, gain, 0.4)[inside : inside + count]
        start += count


def dense_weights(seed: int, rows: Sequence[int]) -> dict[str, Array]:
    """All tensors but the tables, float32, under the dump's names.

    The last layer is scaled so that logits have standard deviation 1.7 and mean -2: about one pair
    in five is a click.
    """
    rng = generator(seed, _DENSE_WEIGHTS)
    weights: dict[str, Array] = {}
    for name, shape in weight_shapes(rows).items():
        if len(shape) == 1:
            weights[name] = np.float32(0.05) * rng.standard_normal(shape[0], np.float32)
        elif ".MLPs.V" in name:
            weights[name] = _normal_rows(rng, shape[0], shape[1], shape[1] ** -0.5, 0.0)
        elif "embedding_bags" not in name:
            first = name.startswith("dense_arch.model._mlp.0.")
            gain = 0.4 if first else 0.7 if ".MLPs.W" in name else 1.4
            weights[name] = _normal_rows(rng, shape[0], shape[1], gain * shape[1] ** -0.5, 0.3)
    _scale_last_layer(weights, seed, rows)
    return weights


def _scale_last_layer(weights: dict[str, Array], seed: int, rows: Sequence[int]) -> None:
    # All rows have one distribution: the first block of each table represents it.
    short = [min(count, BLOCK_ROWS) for count in rows]
    whole = {name: torch.from_numpy(values) for name, values in weights.items()}
    for table, count in enumerate(short):
        first = next(table_rows(seed, table, 0, count))
        whole[table_name(table)] = torch.from_numpy(first)
    dense = torch.from_numpy(dense_features(seed, 0, SCALING_PAIRS, _SCALING))
    columns = [table_ids(seed, t, 0, SCALING_PAIRS, short[t], _SCALING) for t in range(TABLES)]
    ids = torch.from_numpy(np.concatenate(columns, 1))
    with torch.no_grad():
        logits = Fp32Model(whole).logits(dense, ids)
    # Rounded to few digits: the last bits of a matrix product differ from CPU to CPU.
    scale = round(LOGIT_STD / float(logits.std()), 3)
    last = over_name(len(OVER) - 2)
    weights[f"{last}.weight"] *= np.float32(scale)
    bias = scale * float(weights[f"{last}.bias"][0]) + LOGIT_MEAN - scale * float(logits.mean())
    weights[f"{last}.bias"][:] = round(bias, 3)


def dense_features(seed: int, block: int, rows: int, purpose: int = _DENSE) -> Array:
    """Logarithms of counts with a long tail, [rows, 13] float32."""
    counts = generator(seed, purpose, 0, block).exponential(50.0, (rows, DENSE_FEATURES))
    return np.log(3.0 + counts).astype(np.float32)


def table_ids(
    seed: int, table: int, block: int, rows: int, table_size: int, purpose: int = _IDS
) -> Array:
    """Ids of one table, [rows, hot] int32; half of them crowd at low row numbers."""
    rng = generator(seed, purpose, 1 + table, block)
    u = rng.random((rows, MULTI_HOT[table]))
    hot = rng.random(u.shape) < 0.5
    u[hot] = u[hot] ** 2 * u[hot] ** 2
    return np.minimum((u * table_size).astype(np.int32), table_size - 1)


def labels(seed: int, block: int, rows: int) -> Array:
    """Labels 0 or 1 at LABEL_RATE, [rows, 1] int32; the demo replaces them with planted labels."""
    clicked = generator(seed, _LABELS, 0, block).random((rows, 1)) < LABEL_RATE
    return clicked.astype(np.int32)

"""The forward in plain torch operations, to check an engine's answers.

It shares the weights' names with dlrm.py, but no code for products, batches or padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.nn.functional import embedding_bag, linear

from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import (
    CROSS_LAYERS,
    ID_COLUMNS,
    MULTI_HOT,
    bottom_name,
    cross_name,
    over_name,
    table_name,
)


def plain_forward(dump: Path) -> Callable[[Array, Array], Array]:
    """plain_fp32() with a dump's weights, on NumPy arrays."""
    weights = torch.load(dump, mmap=True, weights_only=True)

    def forward(dense: Array, ids: Array) -> Array:
        scores: Array = plain_fp32(weights, torch.from_numpy(dense), torch.from_numpy(ids)).numpy()
        return scores

    return forward


def plain_fp32(
    weights: Mapping[str, torch.Tensor], dense: torch.Tensor, ids: torch.Tensor
) -> torch.Tensor:
    """Probabilities [pairs] of dense float32 [pairs, 13] and ids int32 [pairs, 214]."""

    def layer(name: str, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))
        return product

    x = dense
    with torch.inference_mode():
        for number in range(3):
            x = torch.relu(layer(bottom_name(number), x))
        pooled = [
            embedding_bag(ids[:, first : first + hot].long(), weights[table_name(t)], mode="sum")
            for t, (first, hot) in enumerate(zip(ID_COLUMNS, MULTI_HOT, strict=True))
        ]
        x0 = x = torch.cat([x, *pooled], 1)
        for number in range(CROSS_LAYERS):
            x = x0 * layer(cross_name("W", number), layer(cross_name("V", number), x)) + x
        for number in range(4):
            x = torch.relu(layer(over_name(number), x))
        return torch.sigmoid(layer(over_name(4), x)).flatten()

"""BF16 DLRM-DCNv2 by PyTorch: bfloat16 products with fp32 sums, from the fp32 dump.

The weights of the linear layers and the inputs and outputs of their products are rounded to
bfloat16. The embeddings stay in fp32 (the dump's pages, shared by all workers: a bfloat16 copy
would cost half their memory again), as do their sums, the cross net's products and sums, and the
last layer.
"""

from __future__ import annotations

import torch
from torch.nn.functional import embedding_bag

from dlrm_bench.network.dlrm import (
    BOTTOM,
    CROSS_LAYERS,
    ID_COLUMNS,
    MULTI_HOT,
    OVER,
    Weights,
    bottom_name,
    cross_name,
    linear,
    not_finite,
    over_name,
    table_name,
)

LAST = over_name(len(OVER) - 2)


class Bf16Model:
    """The forward with bfloat16 products; `weights`: the dump's 51 fp32 tensors."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._rounded = {
            name: weight.to(torch.bfloat16)
            for name, weight in weights.items()
            if not name.startswith(("sparse_arch.", f"{LAST}."))
        }

    def _product(self, name: str, x: torch.Tensor, relu: bool = False) -> torch.Tensor:
        """bfloat16 [pairs, outputs] of x in either type."""
        weight, bias = self._rounded[f"{name}.weight"], self._rounded.get(f"{name}.bias")
        return linear(x.to(torch.bfloat16), weight, bias, relu)

    def logits(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Logits, float32 [pairs], of dense float32 [pairs, 13] and ids int32 [pairs, 214]."""
        x = dense
        for layer in range(len(BOTTOM) - 1):
            x = self._product(bottom_name(layer), x, relu=True)
        parts = [x.float()]
        for table, (start, hot) in enumerate(zip(ID_COLUMNS, MULTI_HOT, strict=True)):
            chosen, weight = ids[:, start : start + hot], self._weights[table_name(table)]
            parts.append(embedding_bag(chosen, weight, mode="sum"))
        x0 = x = torch.cat(parts, 1)
        for layer in range(CROSS_LAYERS):
            down = self._product(cross_name("V", layer), x)
            x = torch.addcmul(x, x0, self._product(cross_name("W", layer), down).float())
        for layer in range(len(OVER) - 2):
            x = self._product(over_name(layer), x, relu=True)
        last = self._weights[f"{LAST}.weight"], self._weights[f"{LAST}.bias"]
        return linear(x.float(), *last).flatten() + not_finite(dense, down)

    def forward(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Probability of a click, float32 [pairs]."""
        with torch.no_grad():
            return torch.sigmoid(self.logits(dense, ids))

"""DLRM-DCNv2: shapes, names of the weights, and the fp32 forward that others are compared with.

Shapes are those of MLCommons' dlrm-v2 (Criteo 1TB multi-hot), names those of its dumped model.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

import torch

DENSE_FEATURES = 13
TABLE_ROWS = (
    *(40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10),
    *(2209, 11938, 155, 4, 976, 14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36),
)
MULTI_HOT = (3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1)
TABLES = len(TABLE_ROWS)
IDS = sum(MULTI_HOT)
# First column of each table in a row of ids [pairs, 214].
ID_COLUMNS = tuple(sum(MULTI_HOT[:table]) for table in range(TABLES))
DIM = 128
WIDTH = (TABLES + 1) * DIM
RANK = 512
CROSS_LAYERS = 3
BOTTOM = (DENSE_FEATURES, 512, 256, DIM)
OVER = (WIDTH, 1024, 1024, 512, 256, 1)

Weights = Mapping[str, torch.Tensor]


def row_counts(row_cap: int | None) -> tuple[int, ...]:
    """Rows of each table; a cap makes the demo's small ones."""
    return TABLE_ROWS if row_cap is None else tuple(min(rows, row_cap) for rows in TABLE_ROWS)


def table_name(table: int) -> str:
    """Name of the weight [rows, 128] of embedding table 0..25."""
    return f"sparse_arch.embedding_bag_collection.embedding_bags.{table}.weight"


def bottom_name(layer: int) -> str:
    """Name of the bottom MLP's layer 0..2; its number counts the ReLU layers too."""
    return f"dense_arch.model._mlp.{2 * layer}"


def over_name(layer: int) -> str:
    """Name of the over arch's layer 0..4; its number counts the ReLU layers too."""
    return f"over_arch.model._mlp.{2 * layer}"


def cross_name(kind: str, layer: int) -> str:
    """Name of the cross net's V (down to the rank, no bias) or W (up again) of layer 0..2."""
    return f"inter_arch.crossnet.MLPs.{kind}{layer}"


def weight_shapes(rows: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The 51 names in the dump's order, with their shapes; all fp32."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    for table, count in enumerate(rows):
        shapes[table_name(table)] = (count, DIM)
    for layer in range(len(BOTTOM) - 1):
        linear(bottom_name(layer), BOTTOM[layer], BOTTOM[layer + 1])
    for layer in range(CROSS_LAYERS):
        linear(cross_name("V", layer), WIDTH, RANK, bias=False)
        linear(cross_name("W", layer), RANK, WIDTH)
    for layer in range(len(OVER) - 1):
        linear(over_name(layer), OVER[layer], OVER[layer + 1])
    return shapes


def check_shapes(weights: Weights, rows: Sequence[int]) -> str:
    """The first problem (a name is missing, unknown, or of another shape), or empty."""
    wanted = weight_shapes(rows)
    for name in wanted:
        if name not in weights:
            return f"tensor '{name}' is missing"
    for name in weights:
        if name not in wanted:
            return f"tensor '{name}' does not belong to DLRM-DCNv2"
    for name, shape in wanted.items():
        found = tuple(weights[name].shape)
        if found != shape:
            return f"tensor '{name}' has shape {list(found)}, wanted {list(shape)}"
    return ""


# PyTorch's default fp32 product runs at half of oneDNN's speed on x86 CPUs that are not Intel's; on
# aarch64 the default is oneDNN already.
_ONEDNN = platform.machine() == "x86_64" and torch.backends.mkldnn.is_available()


def linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool = False
) -> torch.Tensor:
    """x weight^T + bias in the weights' dtype, [pairs, outputs]; then a ReLU if `relu`."""
    if _ONEDNN:
        after = "relu" if relu else "none"
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "")
        return product
    y = torch.nn.functional.linear(x, weight, bias)
    return torch.relu_(y) if relu else y


def not_finite(dense: torch.Tensor, last_down: torch.Tensor) -> torch.Tensor:
    """What to add to the logits, [pairs]: 0, or NaN for a pair whose values are not finite.

    oneDNN's ReLU turns NaN into 0, so such a pair would get a score. `last_down`, the last cross
    layer's V product, depends on every value of the cross net, and no ReLU comes after it.
    """
    return (dense.sum(1) + last_down[:, 0].float()) * 0


class Fp32Model:
    """The reference forward, in fp32 throughout."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        #: Set by calibrate: called with each layer's name and output.
        self.observer: Callable[[str, torch.Tensor], None] | None = None
        #: The same for each layer's input.
        self.input_observer: Callable[[str, torch.Tensor], None] | None = None

    def _linear(self, name: str, x: torch.Tensor, relu: bool = False) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias")
        if self.input_observer is not None:
            self.input_observer(name, x)
        y = linear(x, weight, bias, relu)
        if self.observer is not None:
            self.observer(name, y)
        return y

    def features(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Bottom MLP's outputs and pooled embeddings: float32 [pairs, 3456]."""
        x = dense
        for layer in range(len(BOTTOM) - 1):
            x = self._linear(bottom_name(layer), x, relu=True)
        parts = [x]
        for table, (start, hot) in enumerate(zip(ID_COLUMNS, MULTI_HOT, strict=True)):
            weight = self._weights[table_name(table)]
            chosen = ids[:, start : start + hot]
            parts.append(torch.nn.functional.embedding_bag(chosen, weight, mode="sum"))
        return torch.cat(parts, 1)

    def logits(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Logits before the sigmoid: float32 [pairs]."""
        x0 = x = self.features(dense, ids)
        for layer in range(CROSS_LAYERS):
            down = self._linear(cross_name("V", layer), x)
            x = torch.addcmul(x, x0, self._linear(cross_name("W", layer), down))
        for layer in range(len(OVER) - 2):
            x = self._linear(over_name(layer), x, relu=True)
        logits = self._linear(over_name(len(OVER) - 2), x).flatten()
        return logits + not_finite(dense, down)

    def forward(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Probability of a click for each pair: float32 [pairs]."""
        with torch.no_grad():
            return torch.sigmoid(self.logits(dense, ids))

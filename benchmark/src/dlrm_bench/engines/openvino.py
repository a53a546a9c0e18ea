"""OpenVINO for fp32 and bf16: one compiled graph of the dense layers; PyTorch sums the embeddings.

The tables stay in the dump's pages, which all workers share: as part of the graph they would be
copied. Each worker packs the dense weights for itself (64 MB in fp32, 32 MB in bf16).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from dlrm_bench.frame.errors import StageError
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import (
    BOTTOM,
    CROSS_LAYERS,
    DENSE_FEATURES,
    DIM,
    ID_COLUMNS,
    IDS,
    MULTI_HOT,
    OVER,
    TABLES,
    Weights,
    bottom_name,
    cross_name,
    over_name,
    table_name,
)
from dlrm_bench.weights.dump import load_dump

BATCH = 1024
#: Calls are padded to a multiple of PAD: a single row would use another kernel, with other bits.
PAD = 64
#: OpenVINO's names of the precisions it runs.
HINTS = {"fp32": "f32", "bf16": "bf16"}


def why_not(precision: str) -> str:
    """Why OpenVINO is not the default for a precision on this CPU; empty if it is."""
    if not torch.cpu._is_avx512_supported():
        return "it is used only on x86-64 with AVX-512"
    try:
        openvino = _openvino()
    except ImportError as error:
        return f"it is not installed here ({error})"
    # Without such products OpenVINO accepts the hint, but silently computes in fp32.
    if precision == "bf16" and not (
        torch.cpu._is_avx512_bf16_supported()
        and "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    ):
        return "this CPU has no bfloat16 products (AVX512_BF16)"
    return ""


class OpenVinoEngine:
    """The forward of one precision, on the calling thread's core; buffers serve one thread."""

    def __init__(
        self, path: Path, row_counts: Sequence[int], precision: str, best_batch: int = BATCH
    ) -> None:
        weights = load_dump(path, row_counts)
        openvino = _openvino()
        version = openvino.get_version().partition("-")[0]
        self.name = f"{type(self).__name__} {precision} {version}"
        self._tables = [weights[table_name(table)] for table in range(TABLES)]
        self._request = _compiled(weights, precision).create_infer_request()
        self._tensor = functools.partial(openvino.Tensor, shared_memory=True)
        self.best_batch, rows = best_batch, _padded(best_batch)
        self._dense = np.zeros((rows, DENSE_FEATURES), np.float32)
        self._ids = np.zeros((rows, IDS), np.int32)
        self._pooled = np.zeros((rows, TABLES * DIM), np.float32)

    def forward(self, dense: Array, ids: Array) -> Array:
        """As Engine's; NaN for a pair whose values are not finite."""
        scores = np.empty(len(dense), np.float32)
        for at in range(0, len(dense), self.best_batch):
            some = slice(at, at + self.best_batch)
            scores[some] = self._call(dense[some], ids[some])
        return scores

    def _call(self, dense: Array, ids: Array) -> Array:
        """Score up to best_batch pairs; old values in the padding affect no other row."""
        count = len(dense)
        rows = _padded(count)
        self._dense[:count], self._ids[:count] = dense, ids
        self._embed(count)
        for number, values in enumerate((self._dense, self._pooled)):
            self._request.set_input_tensor(number, self._tensor(values[:rows]))
        self._request.infer()
        scores, last_down = (
            self._request.get_output_tensor(number).data[:count, 0] for number in (0, 1)
        )
        finite = np.isfinite(last_down) & np.isfinite(dense).all(1)
        return np.where(finite, scores, np.float32(np.nan))

    def _embed(self, count: int) -> None:
        ids, pooled = torch.from_numpy(self._ids[:count]), torch.from_numpy(self._pooled[:count])
        for table, (start, hot) in enumerate(zip(ID_COLUMNS, MULTI_HOT, strict=True)):
            chosen = ids[:, start : start + hot]
            sums = embedding_bag(chosen, self._tables[table], mode="sum")
            pooled[:, table * DIM : (table + 1) * DIM] = sums


def _padded(pairs: int) -> int:
    return -(-pairs // PAD) * PAD


@functools.cache
def _openvino() -> Any:
    """The package; ImportError where it is not installed."""
    # If openvino_telemetry can be imported, importing openvino reports its use to its maker.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def _compiled(weights: Weights, precision: str) -> Any:
    """The graph for any number of rows and one thread; StageError if it gets another precision."""
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # The worker is pinned already.
        "CACHE_DIR": "",
    }
    compiled = _openvino().Core().compile_model(_graph(weights), "CPU", settings)
    found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if found != HINTS[precision]:
        raise StageError(
            f"OpenVINO cannot run {precision} on this CPU",
            f"it would compute in {found}",
            "Use another precision here, or another machine",
        )
    return compiled


def _graph(weights: Weights) -> Any:
    """Inputs: dense [n, 13] and summed embeddings [n, 3328]; outputs: probability, last_down.

    last_down [n, 1] is a column of the cross net's last V product, which depends on every value of
    the cross net. No ReLU comes after it: the over arch's ReLUs would turn NaN into 0.
    """
    openvino = _openvino()
    op = openvino.opset15

    def linear(name: str, x: Any, relu: bool = False) -> Any:
        weight = op.constant(weights[f"{name}.weight"].numpy(), shared_memory=True)
        y = op.matmul(x, weight, transpose_a=False, transpose_b=True)
        if f"{name}.bias" in weights:
            y = op.add(y, op.constant(weights[f"{name}.bias"].numpy()[np.newaxis]))
        return op.relu(y) if relu else y

    dense = op.parameter([-1, DENSE_FEATURES], np.float32)
    pooled = op.parameter([-1, TABLES * DIM], np.float32)
    x = dense
    for layer in range(len(BOTTOM) - 1):
        x = linear(bottom_name(layer), x, relu=True)
    x0 = x = op.concat([x, pooled], axis=1)
    for layer in range(CROSS_LAYERS):
        down = linear(cross_name("V", layer), x)
        x = op.add(op.multiply(x0, linear(cross_name("W", layer), down)), x)
    first = [op.constant(np.array([value])) for value in (0, 1, 1, 1)]
    last_down = op.slice(down, *first)
    for layer in range(len(OVER) - 2):
        x = linear(over_name(layer), x, relu=True)
    score = op.sigmoid(linear(over_name(len(OVER) - 2), x))
    return openvino.Model([score, last_down], [dense, pooled], "dense part of DLRM-DCNv2")

"""Makes the INT8 model from the fp32 weights and the calibration set.

Activations are scaled pair by pair at run time, so there are no ranges to calibrate. What is
calibrated is how the weights are folded (fold.py) and rounded (rounding.py).
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dlrm_bench.frame.errors import StageError
from dlrm_bench.int8 import fold, rounding
from dlrm_bench.int8.model import (
    FIRST,
    FORMAT,
    LAST,
    MAX_ROWS,
    VERSION,
    Int8Model,
    quantized_layers,
)
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import Fp32Model, Weights, table_name

BLOCK_ROWS = 65_536
FIT_BATCH = 1024
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Fit:
    """What the calibration set decided."""

    #: The dense layers, folded.
    weights: dict[str, torch.Tensor]
    #: Scales of the features' columns [3456].
    scales: torch.Tensor
    #: Layer rounded with feedback -> mean of x x^T over its inputs x, each of mean square 1.
    moments: dict[str, torch.Tensor]


def fit(
    weights: Weights, kept: Sequence[torch.Tensor], dense: torch.Tensor, ids: torch.Tensor
) -> Fit:
    """Fold the weights for these pairs; `kept`: fp32 rows of each table that `ids` number.

    The kept rows are folded in place: there may be a gigabyte of them.
    """
    small = {name: value for name, value in weights.items() if "embedding_bags" not in name}
    for name, value in small.items():
        check_finite(name, value)
    tables = {table_name(table): rows for table, rows in enumerate(kept)}
    features: list[torch.Tensor] = []
    _observe({**small, **tables}, {fold.SENSITIVE: features.append}, dense, ids)
    with rounding.one_thread():
        scales = fold.column_scales(torch.cat(features), small[f"{fold.SENSITIVE}.weight"])
    del features
    small.update(fold.scaled(small, scales))
    small.update(fold.rotated(small))
    for table, rows in enumerate(kept):
        rows *= fold.table_scales(scales, table)
    # The cross net's V gains too little for the time its 3,456 inputs take.
    names = [name for name in quantized_layers() if ".MLPs.V" not in name]
    moments = {name: torch.zeros(2 * small[f"{name}.weight"].shape[1:]) for name in names}

    def adder(name: str) -> Callable[[torch.Tensor], None]:
        def add(x: torch.Tensor) -> None:
            x = fold.per_pair(x)
            moments[name].addmm_(x.t(), x, alpha=1 / len(dense))

        return add

    _observe({**small, **tables}, {name: adder(name) for name in names}, dense, ids)
    return Fit(small, scales, moments)


def _observe(
    weights: Weights,
    observers: Mapping[str, Callable[[torch.Tensor], None]],
    dense: torch.Tensor,
    ids: torch.Tensor,
) -> None:
    """Call each layer's observer with its inputs [pairs, inputs] in the fp32 forward, by batch."""
    model = Fp32Model(weights)

    def show(name: str, x: torch.Tensor) -> None:
        if name in observers:
            observers[name](x)

    model.input_observer = show
    for at in range(0, len(dense), FIT_BATCH):
        model.forward(dense[at : at + FIT_BATCH], ids[at : at + FIT_BATCH])


def quantize_rows(rows: torch.Tensor) -> np.ndarray[Any, Any]:
    """Embedding rows as bytes: 128 codes, scale, smallest value; uint8 [rows, 136]."""
    low = rows.amin(1, keepdim=True)
    scale = (rows.amax(1, keepdim=True) - low).clamp_(min=1e-20) / 255
    codes = torch.round((rows - low) / scale).clamp_(0, 255).to(torch.uint8)
    ends = torch.cat([scale, low], 1).view(torch.uint8)
    packed: np.ndarray[Any, Any] = torch.cat([codes, ends], 1).numpy()
    return packed


class TableQuantizer:
    """Quantizes a memory-mapped table block by block; keeps the rows that calibration needs.

    The kept rows are read first, then each byte of the table once. One block at most is resident.
    """

    def __init__(self, weights: Weights, table: int, kept: Array) -> None:
        """`kept`: ascending row numbers."""
        self._name = table_name(table)
        self._table = weights[self._name]
        self.fp32 = self._table[torch.from_numpy(kept).long()]
        check_finite(self._name, self.fp32, rows=kept)

    def blocks(self, scales: torch.Tensor, done: Callable[[int], None]) -> Iterator[Array]:
        """The whole table quantized, block by block, its columns scaled by `scales` [128]."""
        for start in range(0, len(self._table), BLOCK_ROWS):
            rows = self._table[start : start + BLOCK_ROWS].clone()
            release_mapped(self._table, start, len(rows))
            check_finite(self._name, rows, start)
            yield quantize_rows(rows * scales)
            done(len(rows))


def check_finite(
    name: str, values: torch.Tensor, start: int = 0, rows: Array | None = None
) -> None:
    """StageError for NaN or infinity.

    `values`: tensor `name` from row `start` on, or only its rows numbered in `rows`.
    """
    finite = torch.isfinite(values)
    if bool(finite.all()):
        return
    row, *column = finite.logical_not().nonzero()[0].tolist()
    number = start + row if rows is None else int(rows[row])
    where = f"row {number}" + (f", column {column[0]}" if column else "")
    value = float(values[row, column[0]] if column else values[row])
    raise StageError(
        "the fp32 dump cannot be quantized",
        f"tensor '{name}' is {value} at {where}, wanted a finite number",
        "Run again with -e force_stages=weights,dump; if it fails again, fetch the weights again",
    )


def release_mapped(table: torch.Tensor, start: int, rows: int) -> None:
    """Tell the kernel that these rows of a memory-mapped file are not needed any more.

    Only for tensors of torch.load(mmap=True): other memory would lose its contents.
    """
    row_bytes = table.shape[1] * table.element_size()
    address = table.data_ptr() + start * row_bytes
    # Only whole pages; a page shared with neighbouring rows goes with those.
    begin = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + rows * row_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > begin:
        _LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)


def small_content(fitted: Fit, rows: Sequence[int], source_sha256: str) -> dict[str, Any]:
    """The content of the INT8 model file without the tables."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "source_sha256": source_sha256,
        "row_counts": list(rows),
    }
    with rounding.one_thread():
        _round_layers(fitted, content)
    for name in (FIRST, LAST):
        for part in ("weight", "bias"):
            content[f"{name}.{part}"] = fitted.weights[f"{name}.{part}"].clone()
    for name, value in content.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            check_finite(name, value)
    return content


def _round_layers(fitted: Fit, content: dict[str, Any]) -> None:
    weights = fitted.weights
    for name in quantized_layers():
        weight, moments = weights[f"{name}.weight"], fitted.moments.get(name)
        scale = rounding.row_scales(weight)
        if moments is None:
            content[f"{name}.codes"] = rounding.nearest(weight, scale)
        else:
            content[f"{name}.codes"] = rounding.with_feedback(weight, scale, moments)
        content[f"{name}.scale"] = scale
        bias = weights.get(f"{name}.bias")
        content[f"{name}.bias"] = torch.zeros(len(weight)) if bias is None else bias.clone()


def report_models(
    content: Mapping[str, Any], fitted: Fit, kept: Sequence[torch.Tensor]
) -> tuple[Int8Model, dict[str, torch.Tensor]]:
    """The int8 model and fp32 weights over the kept, folded rows alone; ids number those rows."""
    fp32, int8 = dict(fitted.weights), dict(content)
    for table, rows in enumerate(kept):
        name = table_name(table)
        fp32[name] = rows
        int8[f"{name}.rows"] = torch.from_numpy(quantize_rows(fp32[name]))
    return Int8Model(int8), fp32


def layer_errors(
    model: Int8Model, weights: Weights, dense: torch.Tensor, ids: torch.Tensor
) -> dict[str, Any]:
    """Errors of int8 against fp32 on the given rows.

    A layer's error is that of its output when all layers before it are int8 too: root mean square
    and mean, both as shares of the fp32 output's standard deviation. Logit errors are absolute.
    """
    reference = Fp32Model(weights)
    outputs: dict[str, torch.Tensor] = {}
    sums: dict[str, list[float]] = {}
    logits: list[torch.Tensor] = []
    for at in range(0, len(dense), MAX_ROWS):
        some = slice(at, at + MAX_ROWS)
        rows = len(dense[some])
        reference.observer = lambda name, y: outputs.update({name: y})
        wanted = reference.forward(dense[some], ids[some])

        def compare(name: str, y: torch.Tensor, rows: int = rows) -> None:
            _add(sums.setdefault(name, [0.0] * 5), outputs[name], y[:rows])

        model.observer = compare
        found = model.forward(dense[some], ids[some])
        logits.append(torch.logit(found.double()) - torch.logit(wanted.double()))
    model.observer = None
    error = torch.cat(logits)
    return {
        "rows": len(dense),
        "layers": {name: _relative(*values) for name, values in sums.items()},
        "logit_rms": round(float(error.square().mean().sqrt()), 5),
        "logit_mean": round(float(error.mean()), 5),
        "logit_p99_9": round(float(torch.quantile(error.abs(), 0.999)), 5),
    }


def _add(sums: list[float], wanted: torch.Tensor, found: torch.Tensor) -> None:
    difference = found.double() - wanted.double()
    terms = (difference.square(), difference, wanted.double().square(), wanted.double())
    for number, term in enumerate(terms):
        sums[number] += float(term.sum())
    sums[4] += wanted.numel()


def _relative(
    squares: float, total: float, wanted_squares: float, wanted: float, count: float
) -> dict[str, float]:
    spread = (wanted_squares / count - (wanted / count) ** 2) ** 0.5 or 1.0
    return {
        "rms": round((squares / count) ** 0.5 / spread, 6),
        "mean": round(total / count / spread, 6),
    }

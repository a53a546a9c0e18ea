"""Makes the INT8 model from the fp32 weights; the calibration set measures its errors.

Activations are scaled pair by pair at run time, so there are no ranges to calibrate.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dlrm_bench.contract import StageError
from dlrm_bench.int8 import FIRST, FORMAT, LAST, MAX_ROWS, VERSION, Int8Model, quantized_layers
from dlrm_bench.model import DIM, MULTI_HOT, Fp32Model, Weights, table_name

BLOCK_ROWS = 65_536
Array = np.ndarray[Any, Any]
_LIBC = ctypes.CDLL(None)


def quantize_weight(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric int8 codes [out, in] and one scale an output channel."""
    scale = weight.abs().amax(1).clamp_(min=1e-20) / 127
    codes = torch.round(weight / scale[:, None]).clamp_(-127, 127)
    return codes.to(torch.int8), scale


def quantize_rows(rows: torch.Tensor) -> np.ndarray[Any, Any]:
    """Embedding rows as bytes: 128 codes, scale, smallest value; uint8 [rows, 136]."""
    low = rows.amin(1, keepdim=True)
    scale = (rows.amax(1, keepdim=True) - low).clamp_(min=1e-20) / 255
    codes = torch.round((rows - low) / scale).clamp_(0, 255).to(torch.uint8)
    ends = torch.cat([scale, low], 1).view(torch.uint8)
    packed: np.ndarray[Any, Any] = torch.cat([codes, ends], 1).numpy()
    return packed


class TableQuantizer:
    """A memory-mapped table on its way into the file; keeps the rows the error report needs.

    Each byte of the table is read once, and only a block of it is ever resident.
    """

    def __init__(self, weights: Weights, table: int, kept: Array) -> None:
        """`kept`: ascending row numbers."""
        self._name = table_name(table)
        self._table, self._kept = weights[self._name], kept
        self.fp32 = torch.empty(len(kept), DIM)

    def blocks(self, done: Callable[[int], None]) -> Iterator[Array]:
        """The whole table's bytes, block by block."""
        for start in range(0, len(self._table), BLOCK_ROWS):
            rows = self._table[start : start + BLOCK_ROWS].clone()
            release_mapped(self._table, start, len(rows))
            check_finite(self._name, rows, start)
            first, last = np.searchsorted(self._kept, [start, start + len(rows)])
            self.fp32[first:last] = rows[torch.from_numpy(self._kept[first:last] - start).long()]
            yield quantize_rows(rows)
            done(len(rows))


def check_finite(name: str, rows: torch.Tensor, start: int = 0) -> None:
    """Refuse NaN and infinity; `rows` begin at row `start` of tensor `name`."""
    finite = torch.isfinite(rows)
    if bool(finite.all()):
        return
    row, *column = finite.logical_not().nonzero()[0].tolist()
    where = f"row {start + row}" + (f", column {column[0]}" if column else "")
    value = float(rows[row, column[0]] if column else rows[row])
    raise StageError(
        "the fp32 dump cannot be quantized",
        f"tensor '{name}' is {value} at {where}, wanted a finite number",
        "Run again with -e force_stages=weights,dump; if it stays, fetch the weights again",
    )


def release_mapped(table: torch.Tensor, start: int, rows: int) -> None:
    """Tell the kernel that these rows of a memory-mapped file are done with.

    Only for tensors of torch.load(mmap=True): other memory would lose its contents.
    """
    row_bytes = table.shape[1] * table.element_size()
    address = table.data_ptr() + start * row_bytes
    # Only whole pages; what a page shares with its neighbours goes with them.
    begin = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + rows * row_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > begin:
        _LIBC.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)


def small_content(weights: Weights, rows: Sequence[int], source_sha256: str) -> dict[str, Any]:
    """All of the file but the tables."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "source_sha256": source_sha256,
        "row_counts": list(rows),
    }
    for name in quantized_layers():
        weight = weights[f"{name}.weight"]
        check_finite(f"{name}.weight", weight)
        content[f"{name}.codes"], content[f"{name}.scale"] = quantize_weight(weight)
        bias = weights.get(f"{name}.bias")
        content[f"{name}.bias"] = torch.zeros(len(weight)) if bias is None else bias.clone()
    for name in (FIRST, LAST):
        for part in ("weight", "bias"):
            content[f"{name}.{part}"] = weights[f"{name}.{part}"].clone()
    for name, value in content.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            check_finite(name, value)
    return content


def report_models(
    content: Mapping[str, Any], weights: Weights, tables: Sequence[TableQuantizer]
) -> tuple[Int8Model, dict[str, torch.Tensor]]:
    """Both models over the kept rows alone: for ids that are numbered accordingly."""
    fp32 = {name: value for name, value in weights.items() if "embedding_bags" not in name}
    int8 = dict(content)
    for table in range(len(MULTI_HOT)):
        fp32[table_name(table)] = tables[table].fp32
        packed = torch.from_numpy(quantize_rows(tables[table].fp32))
        int8[f"{table_name(table)}.rows"] = packed
    return Int8Model(int8), fp32


def layer_errors(
    model: Int8Model, weights: Weights, dense: torch.Tensor, ids: torch.Tensor
) -> dict[str, Any]:
    """How far int8 is from fp32 on the given rows.

    A layer's error is that of its output with all layers before it int8 too: root mean square and
    mean, both as parts of the fp32 output's standard deviation. Logits are in their own unit.
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

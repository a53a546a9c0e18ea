"""INT8 DLRM-DCNv2: per-channel int8 weights, per-pair activations, row-wise int8 embeddings.

x ~ scale * (code - zero). Each pair has a scale and a zero point in each layer, computed from that
pair alone, so its score has the same bits in any batch. The bottom MLP's first layer, the cross
products and the last layer stay in fp32.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dlrm_bench.frame.errors import StageError
from dlrm_bench.memory.resident import rebased
from dlrm_bench.network.dlrm import (
    BOTTOM,
    CROSS_LAYERS,
    DENSE_FEATURES,
    DIM,
    ID_COLUMNS,
    IDS,
    MULTI_HOT,
    OVER,
    WIDTH,
    bottom_name,
    cross_name,
    linear,
    over_name,
    table_name,
    weight_shapes,
)
from dlrm_bench.weights.dump import load_plain

INT8_NAME = "dlrm_int8.pt"
FORMAT = "dlrm-fleet native int8"
VERSION = 1
#: An embedding row: 128 unsigned codes, then its scale and its smallest value, both float32.
ROW_BYTES = DIM + 8
FIRST, LAST = bottom_name(0), over_name(len(OVER) - 2)
#: Added to a small float32, it rounds that number to an integer in the low bits of the sum.
ROUND = float(3 << 22)
#: Steps between a row's smallest and largest value: two fewer than a byte has, because scale and
#: zero point are rounded separately.
STEPS = 253
#: A forward is padded to a multiple of PAD rows: few shapes keep the fp32 layers' bits, and few
#: kernels are built.
PAD = 64
MAX_ROWS = 256


def quantized_layers() -> list[str]:
    """Names of the linear layers that are int8, in the order of the forward."""
    names = [bottom_name(layer) for layer in range(1, len(BOTTOM) - 1)]
    for layer in range(CROSS_LAYERS):
        names += [cross_name("V", layer), cross_name("W", layer)]
    return names + [over_name(layer) for layer in range(len(OVER) - 2)]


class _Part:
    """Columns of a layer's input that share a scale, and the weights they meet."""

    def __init__(self, codes: torch.Tensor, columns: slice, kind: str) -> None:
        self.columns = columns
        self.codes = codes[:, columns].contiguous().t()
        sums = codes[:, columns].sum(1, dtype=torch.int32)
        # After a ReLU the zero point is always -127.
        self.sums = sums * 127 if kind == "relu" else sums


class _Linear:
    """One int8 layer; `kind` says what its input is: any sign, symmetric, or after a ReLU.

    The bottom MLP's 128 columns have several times the range of the embeddings' columns. A layer
    with both as input uses a scale for each, which halves the error.
    """

    def __init__(self, content: Mapping[str, Any], name: str) -> None:
        codes: torch.Tensor = content[f"{name}.codes"]
        self.scale: torch.Tensor = content[f"{name}.scale"]
        self.bias: torch.Tensor = content[f"{name}.bias"]
        self.outputs, inputs = codes.shape
        self.kind = "symmetric" if ".MLPs.W" in name else "any" if inputs == WIDTH else "relu"
        self.relu = ".MLPs." not in name
        borders = [0, DIM, WIDTH] if inputs == WIDTH else [0, inputs]
        columns = [slice(start, stop) for start, stop in itertools.pairwise(borders)]
        self.parts = [_Part(codes, part, self.kind) for part in columns]


class Int8Model:
    """The int8 forward; it keeps its buffers, so one instance serves one thread."""

    def __init__(self, content: Mapping[str, Any], most: int = MAX_ROWS) -> None:
        """`most`: pairs worked on at a time, a multiple of PAD; a call may bring more."""
        self._most = most
        self._tables = [content[f"{table_name(t)}.rows"] for t in range(len(MULTI_HOT))]
        self._layers = {name: _Linear(content, name) for name in quantized_layers()}
        self._first = (content[f"{FIRST}.weight"], content[f"{FIRST}.bias"])
        self._last = (content[f"{LAST}.weight"], content[f"{LAST}.bias"])
        self._offsets = {
            h: torch.arange(0, (most + 1) * h, h, dtype=torch.int32) for h in set(MULTI_HOT)
        }
        self._dense = torch.zeros(most, DENSE_FEATURES)
        self._ids = torch.zeros(most, IDS, dtype=torch.int32)
        self._x0 = torch.empty(most, WIDTH)
        self._x = torch.empty(most, WIDTH)
        self._flat = torch.empty(most * WIDTH)
        self._wide = torch.empty(most * WIDTH)
        self._other = torch.empty(most * WIDTH)
        self._codes = torch.empty(most * WIDTH, dtype=torch.int8)
        self._sums = torch.empty(most * WIDTH, dtype=torch.int32)
        #: Set by calibrate: called with each layer's name and output.
        self.observer: Any = None

    def forward(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Probabilities [pairs] of dense float32 [pairs, 13] and ids [pairs, 214]."""
        out = torch.empty(len(dense))
        with torch.inference_mode():
            for at in range(0, len(dense), self._most):
                count = min(self._most, len(dense) - at)
                rows = -(-count // PAD) * PAD
                self._dense[:count] = dense[at : at + count]
                self._ids[:count] = ids[at : at + count]
                self._ids[count:rows] = 0
                out[at : at + count] = self._padded(rows)[:count]
        return out

    def _padded(self, rows: int) -> torch.Tensor:
        x0, x = self._x0[:rows], self._x[:rows]
        self._bottom(rows, x0[:, :DIM])
        self._embed(rows, x0)
        x.copy_(x0)
        for layer in range(CROSS_LAYERS):
            down = self._linear(cross_name("V", layer), x)
            x.addcmul_(x0, self._linear(cross_name("W", layer), down))
        over = x
        for layer in range(len(OVER) - 2):
            over = self._linear(over_name(layer), over)
        weight, bias = self._last
        products = over * weight
        # Add halves until one column is left: any implementation can keep this order.
        while products.shape[1] > 1:
            half = products.shape[1] // 2
            products = products[:, :half] + products[:, half:]
        # In float64, so that exp's last bit does not reach the score.
        return torch.sigmoid((products + bias).double()).float()[:, 0]

    def _bottom(self, rows: int, out: torch.Tensor) -> None:
        weight, bias = self._first
        # One shape for every batch: a matrix product's bits may depend on the shape.
        parts = [
            linear(self._dense[at : at + PAD], weight, bias, relu=True)
            for at in range(0, rows, PAD)
        ]
        x = torch.cat(parts)
        for layer in range(1, len(BOTTOM) - 1):
            x = self._linear(bottom_name(layer), x)
        out.copy_(x)

    def _embed(self, rows: int, out: torch.Tensor) -> None:
        for table, (start, hot) in enumerate(zip(ID_COLUMNS, MULTI_HOT, strict=True)):
            pooled = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
                self._tables[table],
                self._ids[:rows, start : start + hot].reshape(-1).contiguous(),
                self._offsets[hot][: rows + 1],
                include_last_offset=True,
            )
            out[:, DIM * (table + 1) : DIM * (table + 2)] = pooled

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        layer = self._layers[name]
        rows = len(x)
        y = self._buffer(self._wide, rows, layer.outputs)
        sums = self._buffer(self._sums, rows, layer.outputs)
        for number, part in enumerate(layer.parts):
            scale, zero, codes = self._quantize(x[:, part.columns], layer.kind)
            torch._int_mm(codes, part.codes, out=sums)
            if layer.kind == "relu":
                sums += part.sums
            elif zero is not None:
                sums -= zero * part.sums
            if number:
                y += sums * scale
            else:
                torch.mul(sums, scale, out=y)
        torch.addcmul(layer.bias, y, layer.scale, out=y)
        if layer.relu:
            torch.relu_(y)
        if self.observer is not None:
            self.observer(name, y)
        # The next layer must not overwrite its input, which is this result.
        self._wide, self._other = self._other, self._wide
        return y

    @staticmethod
    def _buffer(flat: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        return flat[: rows * columns].view(rows, columns)

    def _quantize(
        self, x: torch.Tensor, kind: str
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Scale [rows, 1], zero point int32 [rows, 1] (None when fixed), int8 codes like x."""
        high = torch.amax(x, 1, keepdim=True)
        zero = None
        shift: Any = ROUND - 127
        if kind == "relu":
            reach = high
        else:
            low = torch.amin(x, 1, keepdim=True)
            if kind == "symmetric":
                # As many steps on either side of zero.
                reach = torch.maximum(high, -low) * (STEPS / 127)
                shift = ROUND
            else:
                low.clamp_(max=0)
                reach = high.clamp_(min=0) - low
        inverse = STEPS / reach.clamp_(min=1e-20)
        if kind == "any":
            rounded = torch.round(-127 - low * inverse)
            zero = rounded.to(torch.int32)
            shift = rounded + ROUND
        scaled = self._buffer(self._flat, *x.shape)
        torch.mul(x, inverse, out=scaled)
        scaled += shift
        codes = self._buffer(self._codes, *x.shape)
        codes.copy_(scaled.view(torch.int32))
        return reach / STEPS, zero, codes


def exact_int8_product() -> bool:
    """Whether this CPU's int8 product keeps all bits; without VNNI or the like it may saturate."""
    left = torch.full((PAD, 512), 127, dtype=torch.int8)
    right = torch.full((64, 512), 127, dtype=torch.int8)
    left[1::2] = -128
    right[1::2] = -127
    wanted = left.to(torch.int32) @ right.to(torch.int32).t()
    return bool(torch.equal(torch._int_mm(left, right.t()), wanted))


def load_int8(path: Path, rows: Sequence[int], source_sha256: str = "") -> dict[str, Any]:
    """The file's content, memory-mapped; StageError for a wrong format, table size or tensor.

    In a process that has adopted a copy of the file, the tensors lie on that copy.
    `source_sha256`: of the fp32 dump that the file must come from, if the caller knows it.
    """
    what = f"cannot use '{path}' as native int8 model"
    remedy = "Run again with -e force_stages=calibrate"
    content = load_plain(path, what, remedy)
    if content.get("format") != FORMAT:
        found = "it is an fp32 dump" if table_name(0) in content else "it does not state its format"
        if "format" in content:
            found = f"its format is {content['format']!r}"
        raise StageError(what, f"{found}, wanted {FORMAT!r}", remedy)
    if content.get("version") != VERSION:
        why = f"its format's version is {content.get('version')!r}, this image reads {VERSION}"
        raise StageError(what, why, remedy)
    if content.get("row_counts") != list(rows):
        why = f"its tables have {content.get('row_counts')} rows, the request asks for {list(rows)}"
        raise StageError(what, why, remedy)
    source = content.get("source_sha256")
    if source_sha256 and source != source_sha256:
        why = f"it comes from the dump with sha256 {source}, the request's has {source_sha256}"
        raise StageError(what, why, remedy)
    problem = _tensor_problem(content, rows)
    if problem:
        raise StageError(what, problem, remedy)
    return rebased(path, content)


def _tensor_problem(content: Mapping[str, Any], rows: Sequence[int]) -> str:
    """The first tensor that is missing, of another shape or dtype, or not finite; empty if none."""
    for name, shape in tensor_shapes(rows).items():
        value = content.get(name)
        if not isinstance(value, torch.Tensor):
            return f"tensor '{name}' is missing"
        if tuple(value.shape) != shape or not value.is_contiguous():
            return f"tensor '{name}' has shape {list(value.shape)}, wanted {list(shape)}"
        last = name.rsplit(".", 1)[1]
        wanted = {"rows": torch.uint8, "codes": torch.int8}.get(last, torch.float32)
        if value.dtype != wanted:
            return f"tensor '{name}' is {value.dtype}, wanted {wanted}"
        if wanted == torch.float32 and not bool(torch.isfinite(value).all()):
            return f"tensor '{name}' holds values that are not finite"
    return ""


def tensor_shapes(rows: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each tensor in the file."""
    full = weight_shapes(rows)
    shapes: dict[str, tuple[int, ...]] = {}
    for table, count in enumerate(rows):
        shapes[f"{table_name(table)}.rows"] = (count, ROW_BYTES)
    for name in quantized_layers():
        outputs, inputs = full[f"{name}.weight"]
        shapes[f"{name}.codes"] = (outputs, inputs)
        shapes[f"{name}.scale"] = shapes[f"{name}.bias"] = (outputs,)
    for name in (FIRST, LAST):
        shapes[f"{name}.weight"] = full[f"{name}.weight"]
        shapes[f"{name}.bias"] = full[f"{name}.bias"]
    return shapes

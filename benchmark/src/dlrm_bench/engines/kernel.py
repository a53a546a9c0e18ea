"""libdlrm_int8.so: the int8 forward as one fused C++ kernel, built with the image from kernel/.

Its arithmetic is that of int8/model.py, operation by operation, from the same model file. A score
has the same bits in any batch and with any instruction set, and on x86-64 those of int8/model.py.
The bits matter: a different last bit changes a code now and then, and later layers turn that into a
few per cent of a score.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlrm_bench.int8.model import FIRST, LAST, quantized_layers
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import CROSS_LAYERS, DENSE_FEATURES, IDS, MULTI_HOT, WIDTH, table_name

LIBRARY = Path(__file__).parent.parent / "libdlrm_int8.so"
#: int8.h's Kind.
ANY, SYMMETRIC, RELU = range(3)


class _Given(ctypes.Structure):
    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        ("relu", ctypes.c_int32),
        ("kind", ctypes.c_int32),
    ]


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    library.dlrm_set.argtypes, library.dlrm_set.restype = [ctypes.c_int], ctypes.c_char_p
    pointer = ctypes.c_void_p
    library.dlrm_new.argtypes = [
        *(ctypes.c_char_p, ctypes.c_int, pointer, pointer, pointer, pointer, pointer, pointer),
        ctypes.c_float,
    ]
    library.dlrm_new.restype = pointer
    library.dlrm_forward.argtypes = [pointer, pointer, pointer, ctypes.c_int, pointer]
    library.dlrm_forward.restype = ctypes.c_long
    library.dlrm_free.argtypes, library.dlrm_free.restype = [pointer], None
    return library


def instruction_sets() -> list[str]:
    """The library's instruction sets that this CPU has, fastest first; 'portable' comes last."""
    found: list[str] = []
    while name := _library().dlrm_set(len(found)):
        found.append(name.decode())
    return found


class KernelModel:
    """The int8 forward with the content of an int8 file; its buffers serve one thread."""

    def __init__(self, content: Mapping[str, Any], instruction_set: str, most: int) -> None:
        """`most`: pairs worked on at a time; a call may bring more."""
        self._library = _library()
        self._content = content  # The library keeps pointers into it.
        given = (_Given * len(quantized_layers()))()
        for entry, name in zip(given, quantized_layers(), strict=True):
            codes: torch.Tensor = content[f"{name}.codes"]
            entry.codes = codes.data_ptr()
            entry.scale = content[f"{name}.scale"].data_ptr()
            entry.bias = content[f"{name}.bias"].data_ptr()
            entry.outputs, entry.inputs = codes.shape
            entry.relu = ".MLPs." not in name
            wide = entry.inputs == WIDTH
            entry.kind = SYMMETRIC if ".MLPs.W" in name else ANY if wide else RELU
        tables = [content[f"{table_name(t)}.rows"] for t in range(len(MULTI_HOT))]
        pointers = (ctypes.c_void_p * len(tables))(*(table.data_ptr() for table in tables))
        counts = (ctypes.c_int64 * len(tables))(*(len(table) for table in tables))
        first, last = (
            [content[f"{name}.{part}"].data_ptr() for part in ("weight", "bias")]
            for name in (FIRST, LAST)
        )
        self._model = self._library.dlrm_new(
            *(instruction_set.encode(), most, given, pointers, counts, *first, last[0]),
            float(content[f"{LAST}.bias"]),
        )
        if not self._model:
            raise MemoryError(f"no memory for the int8 kernel, or no {instruction_set} here")

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.dlrm_free(self._model)

    def forward(self, dense: Array, ids: Array) -> Array:
        """Probabilities float32 [pairs] of dense float32 [pairs, 13] and ids int32 [pairs, 214].

        NaN for a pair whose values are not finite; RuntimeError for an id beyond its table.
        """
        dense = np.ascontiguousarray(dense, np.float32)
        ids = np.ascontiguousarray(ids, np.int32)
        if dense.shape != (len(ids), DENSE_FEATURES) or ids.shape != (len(ids), IDS):
            raise ValueError(f"dense {dense.shape} and ids {ids.shape} are not [n, 13], [n, 214]")
        scores = np.empty(len(dense), np.float32)
        arrays = dense.ctypes.data, ids.ctypes.data
        wrong = self._library.dlrm_forward(self._model, *arrays, len(dense), scores.ctypes.data)
        if wrong:
            pair, column = divmod(wrong - 1, IDS)
            value = ids[pair, column]
            raise RuntimeError(
                f"id {value} of pair {pair}, column {column}, is not in that column's table"
            )
        return scores


assert len(quantized_layers()) == 2 + 2 * CROSS_LAYERS + 4

"""Reads the calibration set of stage dataset: all that calibrate and tune know of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlrm_bench.data.day import check_ids
from dlrm_bench.data.names import CALIBRATION_DENSE_NAME, CALIBRATION_SPARSE_NAME, REMADE
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, MULTI_HOT


def calibration_set(ctx: StageContext) -> tuple[Array, Array]:
    """Dense float32 [rows, 13] and ids int32 [rows, 214], memory-mapped, at least one row."""
    dense = _mapped(ctx, CALIBRATION_DENSE_NAME, "<f4", DENSE_FEATURES)
    ids = _mapped(ctx, CALIBRATION_SPARSE_NAME, "<i4", IDS)
    if len(dense) != len(ids) or not len(dense):
        raise StageError(
            "the calibration set cannot be used",
            f"'{CALIBRATION_DENSE_NAME}' has {len(dense)} rows, "
            f"'{CALIBRATION_SPARSE_NAME}' has {len(ids)}",
            REMADE,
        )
    return dense, ids


def check_calibration_ids(ids: Array, rows_of_tables: Sequence[int]) -> None:
    """Refuse an id that no table row answers to."""
    limits = np.repeat(np.asarray(rows_of_tables, np.int32), MULTI_HOT)
    check_ids(0, ids, limits, official=True, file=CALIBRATION_SPARSE_NAME)


def _mapped(ctx: StageContext, name: str, dtype: str, width: int) -> Array:
    path = ctx.input("dataset", name)
    require_file(path, REMADE)
    what = f"'{path}' cannot be used"
    try:
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise StageError(what, f"it is not a whole .npy array ({error})", REMADE) from error
    if mapped.dtype != np.dtype(dtype) or mapped.ndim != 2 or mapped.shape[1] != width:
        why = f"it is {mapped.dtype}{list(mapped.shape)}, wanted {np.dtype(dtype)}[rows, {width}]"
        raise StageError(what, why, REMADE)
    return mapped

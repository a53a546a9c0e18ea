"""Names of stage dataset's files. The two .bin files have rows of fixed length and no header."""

from __future__ import annotations

from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS

DENSE_NAME = "terabyte_processed_test_v2_dense.bin"
#: int32: the label, then 214 ids table by table.
LABEL_SPARSE_NAME = "terabyte_processed_test_v2_label_sparse.bin"
TRACE_NAME = "aggregation_trace.txt"
#: What data.query_set.SampleFiles reads, in its order.
SAMPLE_NAMES = (DENSE_NAME, LABEL_SPARSE_NAME, TRACE_NAME)
DENSE_ROW_BYTES = 4 * DENSE_FEATURES
LABEL_SPARSE_ROW_BYTES = 4 * (1 + IDS)
CALIBRATION_DENSE_NAME = "calibration_dense.npy"
CALIBRATION_SPARSE_NAME = "calibration_sparse.npy"
PLANTED_NAME = "planted_probability.npy"
DESCRIPTION_NAME = "dataset.json"
CALIBRATION_ROWS = 128_000
REMADE = "Run again with -e force_stages=dataset"


def test_half(rows: int) -> int:
    """Rows of day 23 that are scored: the first half, the odd one included."""
    return (rows + 1) // 2

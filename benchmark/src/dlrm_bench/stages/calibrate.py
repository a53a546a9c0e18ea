"""Stage calibrate: the INT8 model, from the fp32 dump and the calibration set alone."""

from __future__ import annotations

import os

import numpy as np
import torch

from dlrm_bench.data.calibration_set import calibration_set, check_calibration_ids
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.sources import Progress
from dlrm_bench.int8 import fold
from dlrm_bench.int8.fit import TableQuantizer, fit, layer_errors, report_models, small_content
from dlrm_bench.int8.model import INT8_NAME, ROW_BYTES, load_int8
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DIM, row_counts, table_name
from dlrm_bench.weights.dump import DUMP_NAME, load_dump
from dlrm_bench.weights.named import compact_ids
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file

#: The fit uses one row in FIT_SHARE of the calibration set, at most MOST_FITTED rows.
FIT_SHARE, MOST_FITTED = 8, 8192
#: At most this many other rows measure the errors in the report.
REPORT_ROWS = 2048


def run(ctx: StageContext) -> None:
    """Output: dlrm_int8.pt; errors against fp32, layer by layer, in stage.json's facts."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows = row_counts(ctx.request.parameters.row_cap)
    path = ctx.input("dump", DUMP_NAME)
    weights = load_dump(path, rows)
    sha256 = next(f.sha256 for f in ctx.request.inputs if f.path == path)
    ctx.status.update("reading the calibration set")
    dense, ids, fits, of = _used_pairs(ctx, rows)
    local, needed = compact_ids(ids)
    tables = [TableQuantizer(weights, table, needed[table]) for table in range(len(rows))]
    kept = [table.fp32 for table in tables]
    ctx.status.update("fitting the layers to the calibration set")
    pairs = torch.from_numpy(dense), torch.from_numpy(local)
    fitted = fit(weights, kept, pairs[0][:fits], pairs[1][:fits])
    ctx.status.update("quantizing layers")
    content = small_content(fitted, rows, sha256)
    progress = Progress(ctx.status, "quantizing embeddings", sum(rows), "rows/s")
    streams = {
        name: StreamedTensor.of(value) if isinstance(value, torch.Tensor) else value
        for name, value in content.items()
    }
    for table, count in enumerate(rows):
        blocks = tables[table].blocks(fold.table_scales(fitted.scales, table), progress.add)
        shape = (count, ROW_BYTES)
        streams[f"{table_name(table)}.rows"] = StreamedTensor(torch.uint8, shape, blocks)
    with ctx.open_output(INT8_NAME) as output:
        write_torch_file(output, streams)
    load_int8(ctx.output_dir / INT8_NAME, rows, sha256)
    ctx.status.update("measuring errors on the calibration set")
    model, fp32 = report_models(content, fitted, kept)
    ctx.facts["calibration_rows"], ctx.facts["fitted_rows"] = of, fits
    ctx.facts["errors"] = layer_errors(model, fp32, pairs[0][fits:], pairs[1][fits:])
    ctx.facts["bytes_of_embedding_row"] = {"fp32": 4 * DIM, "int8": ROW_BYTES}


def _used_pairs(ctx: StageContext, rows: tuple[int, ...]) -> tuple[Array, Array, int, int]:
    """Dense [n, 13] and ids [n, 214] of the used pairs; pairs to fit to; rows of the whole set.

    The fit's pairs come first, then the report's. Both are spread evenly over the set and share no
    row.
    """
    dense, ids = calibration_set(ctx)
    fits = min(-(-len(dense) // FIT_SHARE), MOST_FITTED)
    step = len(dense) // fits
    fitted = np.arange(fits) * step
    others = fitted + step // 2 if step > 1 else fitted
    some = np.concatenate([fitted, others[:: -(-fits // REPORT_ROWS)]])
    chosen: Array = np.array(ids[some])
    check_calibration_ids(chosen, rows)
    return np.array(dense[some]), chosen, fits, len(dense)

"""Stage calibrate: the INT8 model, from the fp32 dump and the calibration set alone."""

from __future__ import annotations

import os

import numpy as np
import torch

from dlrm_bench import bins
from dlrm_bench.calibrate import layer_errors, small_content, table_blocks
from dlrm_bench.contract import StageContext
from dlrm_bench.dump import DUMP_NAME, load_dump
from dlrm_bench.int8 import INT8_NAME, ROW_BYTES, Int8Model, load_int8
from dlrm_bench.model import DIM, row_counts, table_name
from dlrm_bench.sources import Progress
from dlrm_bench.torch_file import StreamedTensor, write_torch_file

#: Calibration rows the report's errors are measured on, evenly spread over the set.
REPORT_ROWS = 2048


def run(ctx: StageContext) -> None:
    """Output: dlrm_int8.pt; errors against fp32, layer by layer, in stage.json's facts."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows = row_counts(ctx.request.parameters.row_cap)
    path = ctx.input("dump", DUMP_NAME)
    weights = load_dump(path, rows)
    sha256 = next(f.sha256 for f in ctx.request.inputs if f.path == path)
    ctx.status.update("quantizing layers")
    content = small_content(weights, rows, sha256)
    progress = Progress(ctx.status, "quantizing embeddings", sum(rows), "rows/s")
    streams = {
        name: StreamedTensor.of(value) if isinstance(value, torch.Tensor) else value
        for name, value in content.items()
    }
    for table, count in enumerate(rows):
        blocks = table_blocks(weights[table_name(table)], progress.add)
        shape = (count, ROW_BYTES)
        streams[f"{table_name(table)}.rows"] = StreamedTensor(torch.uint8, shape, blocks)
    with ctx.open_output(INT8_NAME) as output:
        write_torch_file(output, streams)
    ctx.status.update("measuring errors on the calibration set")
    dense = np.load(ctx.input("dataset", bins.CALIBRATION_DENSE_NAME), mmap_mode="r")
    ids = np.load(ctx.input("dataset", bins.CALIBRATION_SPARSE_NAME), mmap_mode="r")
    step = max(len(dense) // REPORT_ROWS, 1)
    some = slice(0, step * REPORT_ROWS, step)
    model = Int8Model(load_int8(ctx.output_dir / INT8_NAME, rows))
    ctx.facts["calibration_rows"] = len(dense)
    ctx.facts["errors"] = layer_errors(
        model, weights, torch.tensor(dense[some]), torch.tensor(ids[some])
    )
    ctx.facts["bytes_of_embedding_row"] = {"fp32": 4 * DIM, "int8": ROW_BYTES}

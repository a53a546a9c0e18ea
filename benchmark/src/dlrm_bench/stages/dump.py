"""Stage dump: the fp32 state dict under its published file name, streamed from the snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.sources import Progress
from dlrm_bench.network.dlrm import row_counts, weight_shapes
from dlrm_bench.weights.dump import DUMP_NAME
from dlrm_bench.weights.named import FOLDER, open_weights, snapshot_name
from dlrm_bench.weights.snapshot import METADATA, Snapshot
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file


def run(ctx: StageContext) -> None:
    """Output: dlrm-multihot-pytorch.pt, 51 fp32 tensors."""
    parameters = ctx.request.parameters
    rows = row_counts(parameters.row_cap)
    folder = ctx.input("weights", f"{FOLDER}/{METADATA}").parent
    snapshot = open_weights(folder, rows, more_rows=parameters.demo)
    shapes = weight_shapes(rows)
    total = sum(torch.Size(shape).numel() * 4 for shape in shapes.values())
    progress = Progress(ctx.status, "writing the fp32 dump", total, "bytes/s")
    content = {
        name: StreamedTensor(torch.float32, shape, _blocks(snapshot, name, shape[0], progress))
        for name, shape in shapes.items()
    }
    with ctx.open_output(DUMP_NAME) as output:
        write_torch_file(output, content)
    ctx.facts["tensors"] = len(content)


def _blocks(snapshot: Snapshot, name: str, rows: int, progress: Progress) -> Iterator[Any]:
    for block in snapshot.blocks(snapshot_name(name), rows):
        yield block
        progress.add(block.nbytes)

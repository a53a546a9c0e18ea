"""Stage dataset: the test half as two .bin files, the calibration set, the aggregation trace."""

from __future__ import annotations

import json
from pathlib import Path

from dlrm_bench.data import names as bins
from dlrm_bench.data.convert import BLOCK_ROWS, Plan, Planter, SyntheticDay, convert
from dlrm_bench.data.day import DayFiles, write_day_files
from dlrm_bench.data.trace import trace_text
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.sources import fetch
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.weights.named import FOLDER, open_weights
from dlrm_bench.weights.snapshot import METADATA

#: The synthetic log calibrates on fewer rows than the rules' 128,000, so that a demo stays quick.
SYNTHETIC_CALIBRATION_ROWS = 12_800


def run(ctx: StageContext) -> None:
    """Outputs: the names in data/names.py, aggregation_trace.txt and dataset.json."""
    parameters = ctx.request.parameters
    rows = row_counts(parameters.row_cap)
    synthetic = ctx.request.source is None
    if synthetic and not parameters.demo:
        raise StageError(
            "profile 'official' has no click log",
            "data_source is not set",
            "Set data_source to a folder, an rclone remote or a list of URLs",
        )
    folder = _make(ctx, rows) if synthetic else fetch(ctx)
    ctx.status.update("checking the click log")
    day = DayFiles(folder)
    most = SYNTHETIC_CALIBRATION_ROWS if synthetic else bins.CALIBRATION_ROWS
    plan = Plan.of(day.rows, most)
    planter = None
    if parameters.demo:
        ctx.status.update("loading the weights that plant labels")
        weights_folder = ctx.input("weights", f"{FOLDER}/{METADATA}").parent
        snapshot = open_weights(weights_folder, rows, more_rows=True)
        planter = Planter(snapshot, rows, parameters.seed)
    convert(ctx, day, plan, rows, planter)
    text, samples = trace_text(plan.test)
    with ctx.open_output(bins.TRACE_NAME) as output:
        output.write(text.encode())
    described = {
        "rows": plan.test,
        "samples": samples,
        "pairs": plan.test,
        "calibration_rows": plan.calibration,
        "source_rows": plan.rows,
        "row_counts": list(rows),
        "source": "synthetic" if synthetic else "user",
        "planted": planter is not None,
    }
    with ctx.open_output(bins.DESCRIPTION_NAME) as output:
        output.write((json.dumps(described, indent=1) + "\n").encode())
    ctx.facts.update(described)


def _make(ctx: StageContext, rows: tuple[int, ...]) -> Path:
    parameters = ctx.request.parameters
    if parameters.data_rows is None:
        raise StageError(
            "the synthetic click log has no length",
            "parameter data_rows is null",
            "Give data_rows or a data_source",
        )
    ctx.status.update("making the click log")
    folder = ctx.scratch_dir / "day"
    folder.mkdir()
    write_day_files(folder, parameters.data_rows, BLOCK_ROWS, SyntheticDay(parameters.seed, rows))
    return folder

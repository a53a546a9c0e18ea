"""Stage dataset: the test half as two .bin files, the calibration set, the aggregation trace."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dlrm_bench.data import names as bins
from dlrm_bench.data.convert import BLOCK_ROWS, Plan, Planter, SyntheticDay, convert
from dlrm_bench.data.day import FILES, DayFiles, write_day_files
from dlrm_bench.data.trace import trace_text
from dlrm_bench.frame import published
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.hashed_file import hash_file
from dlrm_bench.frame.md5_lists import Md5Lists
from dlrm_bench.frame.sources import Fetched, Progress, fetch
from dlrm_bench.measure import auc_gate
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
            "Set data_source to a folder, an rclone remote, a list of URLs or a .uri's URL",
        )
    fetched = Fetched(_make(ctx, rows)) if synthetic else fetch(ctx)
    ctx.status.update("checking the click log")
    day = DayFiles(fetched.folder)
    facts = published.fact(False, published.SYNTHETIC)
    if not synthetic:
        facts = _check_sums(ctx, fetched, day.rows)
    most = SYNTHETIC_CALIBRATION_ROWS if synthetic else bins.CALIBRATION_ROWS
    plan = Plan.of(day.rows, most)
    planter = None
    if parameters.demo:
        ctx.status.update("loading the weights that plant labels")
        weights_folder = ctx.input("weights", f"{FOLDER}/{METADATA}").parent
        snapshot = open_weights(weights_folder, rows, more_rows=True)
        planter = Planter(snapshot, rows, parameters.seed)
    convert(ctx, day, plan, rows, planter)
    if planter is not None:
        auc_gate.check_enough(np.load(ctx.output_dir / bins.PLANTED_NAME, allow_pickle=False))
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
    ctx.facts.update(facts)


def _check_sums(ctx: StageContext, fetched: Fetched, rows: int) -> dict[str, Any]:
    """Facts on sums; StageError for a file that md5 lists beside it name with another md5.

    A file is read for it only if a list names it, or if the log may be MLCommons' own.
    """
    lists = Md5Lists(fetched.folder)
    # Lists are made in folders of any name: the files' own names are enough.
    listed = {PurePosixPath(name).name: name for name in lists.wanted}
    checked = {PurePosixPath(name).name for name in fetched.md5}
    may_be_published = rows == published.CLICK_LOG_ROWS and not fetched.publishers
    names = [name for name in FILES if name in listed or may_be_published]
    progress = Progress(
        ctx.status,
        "comparing the click log with its md5 lists",
        sum((fetched.folder / name).stat().st_size for name in names),
        "bytes/s",
    )
    with ThreadPoolExecutor(len(FILES)) as pool:
        found = pool.map(lambda name: hash_file(fetched.folder / name, progress.add), names)
    sums = {name: published.Sums(*both) for name, both in zip(names, found, strict=True)}
    for name in names:
        if name in listed:
            lists.check(listed[name], sums[name].md5)
            checked.add(name)
    checked.intersection_update(FILES)
    by = fetched.sums if fetched.publishers and len(checked) == len(FILES) else ""
    return {
        "files_with_listed_md5": len(checked),
        **published.of_click_log(rows, sums, by),
    }


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

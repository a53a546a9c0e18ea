"""Disk space that the stages take, measured at a small scale and scaled to the full model."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import STAGE_INPUTS, Pipeline
from dlrm_bench.data import names as bins
from dlrm_bench.data.trace import trace_text
from dlrm_bench.frame import context
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.request import Request
from dlrm_bench.frame.status import StatusWriter
from dlrm_bench.int8.model import tensor_shapes
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, TABLE_ROWS, row_counts, weight_shapes

ROWS = {"row_cap": 1000, "data_rows": 4000}
FULL_LOG_ROWS = 178_274_637
FULL_TRACE_BYTES = 7_839_600
ROW_BYTES = 4 * (DENSE_FEATURES + 1 + IDS)
#: Bytes for headers, parts of stage.json, and a folder's blocks.
ODDS = 1 << 20


def elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def weights_bytes(rows: tuple[int, ...]) -> int:
    return 4 * sum(elements(shape) for shape in weight_shapes(rows).values())


def int8_bytes(rows: tuple[int, ...]) -> int:
    return sum(
        elements(shape) * (1 if name.endswith((".rows", ".codes")) else 4)
        for name, shape in tensor_shapes(rows).items()
    )


def dataset_bytes(log_rows: int, calibration: int, trace: int) -> int:
    return ROW_BYTES * (bins.test_half(log_rows) + calibration) + trace


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline, stage: str) -> int:
    """Most bytes in the stage's folder, counted after each output."""
    root = pipeline.ask(stage)
    monkeypatch.setenv("DLRM_ROOT", str(root.root))
    request = Request.read(root.root / "request.json")
    attempt = root.output / "attempts" / "1"
    (attempt / "scratch").mkdir(parents=True)
    seen = []
    whole = context.fsync_directory  # type: ignore[attr-defined]

    def look(path: Path) -> None:
        seen.append(used(root.output))
        whole(path)

    monkeypatch.setattr(context, "fsync_directory", look)
    status = StatusWriter(attempt / "status.json", request)
    ctx = StageContext(request, root.output, status)
    importlib.import_module(f"dlrm_bench.stages.{stage}").run(ctx)
    outputs: list[dict[str, Any]] = [ctx.outputs[name] for name in sorted(ctx.outputs)]
    (root.output / "stage.json").write_text(json.dumps({"outputs": outputs}))
    pipeline.stages[stage] = root
    return max(seen)


def test_the_full_int8_pipeline_fits_400_gb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing is removed: log and .bin files beside the weights take the most."""
    pipeline = Pipeline(tmp_path, **ROWS)
    peaks = {stage: peak(monkeypatch, pipeline, stage) for stage in STAGE_INPUTS}
    rows = row_counts(ROWS["row_cap"])
    log = ROWS["data_rows"]
    trace = len(trace_text(bins.test_half(log))[0])
    small = {
        "weights": weights_bytes(rows),
        # Includes the log, as if it were fetched, and the planted probabilities of a demo.
        "dataset": ROW_BYTES * log
        + dataset_bytes(log, log - bins.test_half(log), trace)
        + 4 * bins.test_half(log),
        "dump": weights_bytes(rows),
        "calibrate": int8_bytes(rows),
    }
    for stage, wanted in small.items():
        assert 0.95 * wanted < peaks[stage] < wanted + ODDS, stage

    weights = weights_bytes(TABLE_ROWS)
    made = dataset_bytes(FULL_LOG_ROWS, bins.CALIBRATION_ROWS, FULL_TRACE_BYTES)
    int8 = int8_bytes(TABLE_ROWS)
    fetching = weights + ROW_BYTES * FULL_LOG_ROWS + made
    assert max(fetching, 2 * weights + made, 2 * weights + made + int8) <= 400e9
    # keep=needed leaves made + int8, which a rerun on a small machine must hold: 111 GB.
    assert made + int8 <= 111e9

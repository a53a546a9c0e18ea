"""The product's own stages, run outside its containers: each in a process, on another's outputs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.request import Parameters, Request
from dlrm_bench.frame.status import StatusWriter

INPUTS: dict[str, tuple[str, ...]] = {
    "weights": (),
    "dataset": ("weights",),
    "dump": ("weights",),
    "calibrate": ("dump", "dataset"),
    "performance": ("dataset", "dump", "calibrate"),
}
#: The model file of a precision: stage and name.
DUMP, INT8 = ("dump", "dlrm-multihot-pytorch.pt"), ("calibrate", "dlrm_int8.pt")


#: The mean sample of the full data set: its pairs by its samples.
PAIRS_PER_SAMPLE = 89_137_319 / 330_067


class StageFailed(SystemExit):
    """A stage ended without a result; ends the measurement where nobody expects it."""


def ask(folder: Path, stage: str, parameters: dict[str, Any], done: Mapping[str, Path]) -> None:
    """Write a stage's request.json below its folder; `done`: output folders of other stages."""
    given: dict[str, Any] = {}
    (folder / "output").mkdir(parents=True)
    (folder / "inputs").mkdir()
    for of in INPUTS[stage]:
        if of in done:
            (folder / "inputs" / of).symlink_to(done[of])
            outputs = json.loads((done[of] / "stage.json").read_text())["outputs"]
            given[of] = [{**o, "path": f"/dlrm/inputs/{of}/{o['name']}"} for o in outputs]
    source = {"kind": "folder", "path": "/dlrm/source"} if (folder / "source").exists() else None
    request = {
        "schema_version": 1,
        "stage": stage,
        "key": hashlib.sha256(stage.encode()).hexdigest(),
        "recipe": 1,
        "attempt": 1,
        "run_id": "20260101T000000Z-abcdef",
        "parameters": {
            # Whatever parameters this version has: the data stages read few of them.
            **dict.fromkeys(Parameters.__dataclass_fields__),
            "precision": "int8",
            "scenario": "offline",
            "implementation": "native",
            "profile": "demo",
            "seed": 1,
            "min_duration_seconds": 10,
            **parameters,
        },
        "inputs": given,
        "source": source,
        "deadline": "2099-01-01T00:00:00Z",
        "provenance": {},
        "created_at": "2026-01-01T00:00:00Z",
    }
    (folder / "request.json").write_text(json.dumps(request))


def start(folder: Path, session: bool = False) -> subprocess.Popen[str]:
    """Start the stage asked for below a folder, if wanted as the leader of a session."""
    return subprocess.Popen(
        [sys.executable, "-m", "dlrm_bench", "stage"],
        env={**os.environ, "DLRM_ROOT": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=session,
    )


def run(folder: Path) -> dict[str, Any]:
    """Run the stage asked for below a folder to its end; its stage.json."""
    return finish(start(folder), folder)


def finish(child: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Wait for the end of a stage that start() started; its stage.json."""
    _, errors = child.communicate()
    if child.returncode:
        raise StageFailed(f"The stage in '{folder}' failed:\n{errors}")
    return dict(json.loads((folder / "output" / "stage.json").read_text()))


def status(folder: Path) -> dict[str, Any]:
    """status.json of the stage below a folder; empty before there is one."""
    with suppress(FileNotFoundError):
        path = folder / "output" / "attempts" / "1" / "status.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}


def context(folder: Path) -> StageContext:
    """Of the stage asked for below a folder, for what is not run as a stage; sets DLRM_ROOT."""
    os.environ["DLRM_ROOT"] = str(folder)
    request = Request.read(folder / "request.json")
    attempt = folder / "output" / "attempts" / "1"
    (attempt / "scratch").mkdir(parents=True)
    return StageContext(request, folder / "output", StatusWriter(attempt / "status.json", request))


def prepare(folder: Path, precision: str, row_cap: int, data_rows: int) -> dict[str, Path]:
    """The data stages of a demo, in turn; stage -> its outputs' folder."""
    stages = ["weights", "dataset", "dump", *(["calibrate"] if precision == "int8" else [])]
    done: dict[str, Path] = {}
    for stage in stages:
        parameters = {"precision": precision, "row_cap": row_cap, "data_rows": data_rows}
        ask(folder / stage, stage, parameters, done)
        run(folder / stage)
        done[stage] = folder / stage / "output"
        print(f"prepared {stage} at row cap {row_cap}", flush=True)
    return done


def model_file(done: Mapping[str, Path], precision: str) -> Path:
    """Of prepare()'s outputs."""
    stage, name = INT8 if precision == "int8" else DUMP
    return done[stage] / name

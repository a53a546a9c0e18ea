"""Stage tune: engine and batch for this machine type, chosen on the calibration set alone."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlrm_bench.data.calibration_set import calibration_set, check_calibration_ids
from dlrm_bench.data.query_set import PAIR_BYTES
from dlrm_bench.engines.choice import load_engine
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.deadline import deadline_check
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import offline as offline_run
from dlrm_bench.measure.loadgen import OFFICIAL_PERFORMANCE_SAMPLES
from dlrm_bench.memory.placed_model import PlacedModel
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.tuning import contenders as contender_rules, race as tune
from dlrm_bench.workers.evidence import Evidence
from dlrm_bench.workers.pool import WorkerPool, batch_pairs
from dlrm_bench.workers.process import THREADS_PER_WORKER

#: Seconds of the timed rounds of all candidates together.
SECONDS = {"demo": 10.0, "official": 75.0}
#: Most pairs taken of the calibration set; 117 MB.
MOST_PAIRS = 128_000
#: Pairs of the longest sample.
LONGEST = 700


def run(ctx: StageContext) -> None:
    """Outputs: tuning.json with every figure; choice.json for accuracy, performance and audit."""
    precision, rows = ctx.request.parameters.precision, row_counts(ctx.request.parameters.row_cap)
    pairs = _pairs(ctx, rows)
    model = offline_run.place_model(ctx, _query_set_bytes(ctx, pairs))
    contenders = contender_rules.contenders(precision)
    against, tolerance = _check(ctx, contenders, pairs, model.path, rows)
    accepted = [one for one in contenders if not one.rejected]
    if not accepted:
        said = "; ".join(f"{c.choice.engine} {c.choice.batch}: {c.rejected}" for c in contenders)
        raise StageError(
            f"no {precision} engine can be chosen",
            said or "this CPU runs none",
            "Look at the model file, or run without -e tune=true",
        )
    pool, evidence = _time(ctx, accepted, pairs, model, rows)
    figure = contender_rules.compared_by(evidence)
    chosen = contender_rules.choose(accepted, contenders[0].choice, figure)
    choice = {
        "schema_version": 1,
        "engine": chosen.choice.engine,
        "batch": chosen.choice.batch,
        "threads_per_worker": THREADS_PER_WORKER,
    }
    found: dict[str, Any] = {
        "choice": choice,
        "chosen": chosen.name,
        "is_default": chosen is contenders[0],
        "compared_by": figure,
        figure: chosen.median(figure),
        "workers": len(pool.cores),
        "cores": pool.cores,
        "placement": pool.placement,
        "cpu": _cpu_model(),
        "reference": {"against": against, "tolerance": tolerance},
        "evidence": evidence,
        "candidates": [contender.facts() for contender in contenders],
    }
    whole = {**found, "image": ctx.request.provenance["image"], "pairs": pairs.pairs}
    _write(ctx, "tuning.json", {"schema_version": 1, "precision": precision, **whole})
    _write(ctx, offline_run.CHOICE, choice)
    ctx.facts.update(found, versions=offline_run.versions())


def _pairs(ctx: StageContext, rows: tuple[int, ...]) -> contender_rules.CalibrationPairs:
    ctx.status.update("reading the calibration set")
    dense, ids = (array[:MOST_PAIRS] for array in calibration_set(ctx))
    check_calibration_ids(np.array(ids), rows)
    return contender_rules.CalibrationPairs(dense, ids)


def _query_set_bytes(ctx: StageContext, pairs: contender_rules.CalibrationPairs) -> int:
    """Query set's size in the later runs: the model must be placed here as it will be there."""
    if ctx.request.parameters.demo:
        return pairs.memory.size
    return int(PAIR_BYTES * OFFICIAL_PERFORMANCE_SAMPLES * pairs.cuts[:, 1].mean())


def _check(
    ctx: StageContext,
    contenders: list[contender_rules.Contender],
    pairs: contender_rules.CalibrationPairs,
    model: Path,
    rows: tuple[int, ...],
) -> tuple[str, float]:
    """Check every contender; returns the reference's name and the tolerance."""
    precision, tick = ctx.request.parameters.precision, deadline_check(ctx)
    torch.set_num_threads(1)
    against, forward, tolerance = contender_rules.reference(precision, model, rows)
    most = max((c.choice.batch for c in contenders), default=0) + contender_rules.CHECKED_BEYOND
    arrays = pairs.arrays
    wanted = forward(arrays.dense[:most], arrays.ids[:most])
    for number, one in enumerate(contenders):
        tick()
        ctx.status.update("checking candidates", 100 * number / len(contenders))
        make = functools.partial(load_engine, precision, model, rows, one.choice)
        contender_rules.check(one, make, arrays, wanted, tolerance)
    return against, tolerance


def _time(
    ctx: StageContext,
    accepted: list[contender_rules.Contender],
    pairs: contender_rules.CalibrationPairs,
    model: PlacedModel,
    rows: tuple[int, ...],
) -> tuple[WorkerPool, dict[str, Any]]:
    """Time the contenders; returns the pool, which has ended, and the evidence of other load."""
    turns = ctx.scratch_dir / "turn"
    turns.write_bytes(b"\0")
    choices = [contender.choice for contender in accepted]
    precision = ctx.request.parameters.precision
    maker: Any = functools.partial(tune.Contest, precision, model.path, rows, choices, turns)
    most = max(LONGEST, *(batch_pairs(choice.batch) for choice in choices))
    tick = deadline_check(ctx)
    ctx.status.update("starting workers")
    with WorkerPool(maker, most, model.path, tick=tick, model=model) as pool:
        pool.wait_ready(Progress(ctx, "starting workers", "workers"))
        pool.attach(pairs)
        ctx.status.update("warming up")
        server = ctx.request.parameters.scenario == "server"
        evidence = Evidence(pool.cores, pool.pids)

        def progress(percent: float) -> None:
            evidence.sample()
            ctx.status.update("timing candidates", percent)

        race = tune.Race(pool, pairs, tune.Turns(turns), accepted, server, progress)
        race.run(SECONDS[ctx.request.parameters.profile])
        return pool, evidence.facts(race.major_faults)


def _cpu_model() -> str | None:
    """The CPU's name in /proc/cpuinfo; None on Arm, whose kernels give none."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def _write(ctx: StageContext, name: str, document: dict[str, Any]) -> None:
    with ctx.open_output(name) as output:
        output.write((json.dumps(document, indent=1) + "\n").encode("ascii"))

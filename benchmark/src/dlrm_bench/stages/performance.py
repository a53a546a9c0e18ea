"""Stage performance: a probe of the machine's speed, then LoadGen's PerformanceOnly run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.deadline import check_time_left
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import (
    loadgen,
    offline as offline_run,
    probe,
    server as server_run,
    server_rate,
)
from dlrm_bench.network.reference import plain_forward
from dlrm_bench.serving.pool import ServingPool
from dlrm_bench.workers.pool import WorkerPool, group


def run(ctx: StageContext) -> None:
    """Probe, measure, and record what the figure rests on."""
    measure(ctx)


def measure(ctx: StageContext, audit: bool = False) -> None:
    """The whole stage; with `audit`, LoadGen runs by TEST01's audit.config."""
    parameters, files = ctx.request.parameters, offline_run.sample_files(ctx)
    demo = parameters.demo
    if not demo and files.samples < loadgen.OFFICIAL_PERFORMANCE_SAMPLES:
        wanted = f"LoadGen's performance set needs {loadgen.OFFICIAL_PERFORMANCE_SAMPLES}"
        raise StageError(
            "the official performance run cannot start",
            f"the data set has {files.samples} samples, but {wanted}",
            "Use the full data set, or -e profile=demo",
        )
    server = parameters.scenario == "server"
    demo_queries = server_run.DEMO_MIN_QUERIES if server else 1
    settings = loadgen.Settings(
        target_qps=1.0,
        scenario=loadgen.SCENARIOS[parameters.scenario],
        min_duration_ms=1000 * parameters.min_duration_seconds if demo else None,
        min_query_count=demo_queries if demo else None,
        performance_sample_count=files.samples if demo else None,
    )
    kind = ServingPool if server else WorkerPool
    with offline_run.open_pool(ctx, files, kind) as pool:
        pool.wait_ready(Progress(ctx, "starting workers", "workers"))
        order = loadgen.performance_order(files.samples, settings, ctx.scratch_dir)
        pairs_per_second = _probe(ctx, files, pool, order)
        asked = (settings, order, pairs_per_second, audit)
        if isinstance(pool, ServingPool):
            offline: offline_run.OfflineRun = server_rate.measure(ctx, files, pool, *asked)
        else:
            offline = _measure(ctx, files, pool, *asked)
    ctx.status.update("checking answers")
    totals = offline.totals[0]
    samples_per_pair = offline.samples_issued / offline.pairs_issued
    ctx.facts.update(
        samples_per_query=1 if server else offline.samples_issued,
        pairs_issued=offline.pairs_issued,
        pairs_computed=totals.pairs,
        batches=totals.batches,
        query_set_bytes=offline.query_set_bytes,
        query_set_samples=len(order),
        engine=pool.engine_name,
        best_batch=pool.best_batch,
        **offline_run.tuning_facts(ctx),
        workers=len(pool.cores),
        cores=pool.cores,
        placement=pool.placement,
        workers_samples_per_second=round(totals.busy_pairs_per_second * samples_per_pair, 4),
        samples_per_second=round(offline.samples_issued / totals.seconds, 4),
        evidence=offline.evidence,
        reference=_reference(ctx, files, offline),
        quantization=PRECISIONS[parameters.precision].quantization,
        versions=offline_run.versions(),
    )


def _measure(
    ctx: StageContext,
    files: SampleFiles,
    pool: WorkerPool,
    settings: loadgen.Settings,
    order: list[int],
    pairs_per_second: float,
    audit: bool,
) -> offline_run.OfflineRun:
    """Run LoadGen; run it again with a better estimate if its query ended before min_duration.

    That is the only reason to run again: no result is chosen among several.
    """
    loadgen_here, phase = loadgen.LoadGen(), "measuring"
    wanted = ctx.request.parameters.min_duration_seconds
    superseded: list[dict[str, Any]] = []
    ctx.facts["superseded_runs"] = superseded
    for number, aim in enumerate(probe.AIMS, 1):
        plan = _plan(ctx, files, order, pairs_per_second, aim)
        if superseded:
            said = superseded[-1]["why"].removeprefix("it ")
            phase = f"{said}: running again with {plan.samples_per_second:.1f} samples/s"
            ctx.status.update(phase)
        why = (
            f"{plan.samples} samples need {plan.expected_seconds:.0f} s at the measured "
            f"{plan.samples_per_second:.1f} samples/s"
        )
        remedy = "Run again with a longer deadline, for example -e deadline=2h"
        check_time_left(ctx, "the performance run", plan.expected_seconds, why, remedy)
        offline = offline_run.OfflineRun(ctx, files, pool, phase)
        in_force = replace(settings, target_qps=plan.target_qps)
        offline.run(loadgen_here, in_force, accuracy=False, audit=audit)
        summary = (offline.log_dir / loadgen.SUMMARY).read_text(encoding="utf-8")
        if number == len(probe.AIMS) or not loadgen.ended_too_soon(summary):
            break
        # Rounded once, so that the fact and the sentence agree.
        seconds = round(offline.totals[0].seconds, 3)
        why = f"it measured {seconds:.2f} s of {wanted} s"
        rate = round(offline.samples_issued / seconds, 4)
        superseded.append(offline.supersede(number, plan.target_qps, rate, why))
        pairs_per_second = max(pairs_per_second, offline.pairs_issued / seconds)
    offline.adopt()
    if audit:
        offline.adopt([offline_run.AUDIT_CONFIG])
    ctx.facts["target_qps"] = plan.target_qps
    return offline


def _plan(
    ctx: StageContext,
    files: SampleFiles,
    order: list[int],
    pairs_per_second: float,
    aim: float = probe.AIM,
) -> probe.Plan:
    parameters = ctx.request.parameters
    least = 1 if parameters.demo else loadgen.OFFICIAL_MIN_SAMPLES
    lengths = files.lengths[np.asarray(order)]
    return probe.plan(pairs_per_second, lengths, parameters.min_duration_seconds, least, aim)


def _probe(ctx: StageContext, files: SampleFiles, pool: WorkerPool, order: list[int]) -> float:
    """Warm the workers up; returns the pairs/s to expect of them on LoadGen's first samples."""
    parameters = ctx.request.parameters
    chosen = probe.probe_samples(order, probe.PROBE_PAIRS, files.lengths)
    query_set = QuerySet(files, chosen, Progress(ctx, "loading probe set", "pairs"))
    pool.attach(query_set)
    spans = query_set.spans(np.asarray(chosen))
    ctx.status.update("warming up")
    wanted = probe.WARM_UP_CALLS * len(pool.cores)
    single = list(group(spans, pool.best_batch, most=pool.best_batch))
    pool.run(probe.repeat(single, lambda number: number >= wanted), lambda _batch, _results: None)
    batches = list(group(spans, pool.best_batch, len(pool.cores)))
    seconds = probe.PROBE_SECONDS[parameters.profile]
    began = time.monotonic()

    def late(_number: int) -> bool:
        spent = time.monotonic() - began
        ctx.status.update("probing", 100 * spent / seconds, eta_seconds=max(0.0, seconds - spent))
        return spent >= seconds

    totals = pool.run(probe.repeat(batches, late), lambda _batch, _results: None)
    pool.detach()
    query_set.close()
    busy, undisturbed = totals.busy_pairs_per_second, totals.undisturbed_pairs_per_second
    expected = probe.expected_rate(busy, undisturbed)
    plan = _plan(ctx, files, order, expected)
    ctx.facts["probe"] = {
        "samples_per_second": round(plan.samples_per_second, 4),
        "target_qps": plan.target_qps,
        "pairs_per_second": round(busy, 2),
        "undisturbed_pairs_per_second": round(undisturbed, 2),
        "seconds": round(totals.seconds, 3),
        "samples": plan.samples,
        "expected_seconds": round(plan.expected_seconds, 3),
    }
    return expected


def _reference(
    ctx: StageContext, files: SampleFiles, offline: offline_run.OfflineRun
) -> dict[str, Any]:
    """Compute the kept answers again and compare: in plain torch if the dump is an input."""
    precision = PRECISIONS[ctx.request.parameters.precision]
    if precision.model.is_fp32:
        against, forward = "torch fp32", plain_forward(offline_run.weights_path(ctx))
    else:
        engine = offline_run.engine_maker(ctx)()
        against, forward = "the same engine, each sample alone", engine.forward
    worst, pairs = 0.0, 0
    for sample, predictions in offline.kept.items():
        rows = slice(files.starts[sample], files.starts[sample] + len(predictions))
        ids = np.ascontiguousarray(files.label_sparse[rows, 1:])
        wanted = forward(files.dense[rows].copy(), ids)
        worst = max(worst, float(np.abs(predictions - wanted).max()))
        pairs += len(predictions)
    return {
        "against": against,
        "pairs": pairs,
        "max_abs_difference": worst,
        "tolerance": precision.tolerance,
        "passed": worst <= precision.tolerance,
    }

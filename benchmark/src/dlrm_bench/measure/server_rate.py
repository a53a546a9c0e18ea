"""Stage performance, Server: finds the highest rate that holds the bound, runs LoadGen at it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.deadline import check_time_left
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import loadgen, probe, server as server_run
from dlrm_bench.measure.offline import AUDIT_CONFIG
from dlrm_bench.measure.server import ServerRun
from dlrm_bench.serving import pool as serving, queue_model
from dlrm_bench.serving.pool import ServingPool, part_pairs
from dlrm_bench.serving.waiting_line import Pace

#: Number of trials, each at the rate that the one before suggests; a trial's share of min_duration.
TRIALS, TRIAL_SHARE = 3, 0.1
LEAST_TRIAL_SECONDS, MOST_TRIAL_SECONDS = 5.0, 20.0


def measure(
    ctx: StageContext,
    files: SampleFiles,
    pool: ServingPool,
    settings: loadgen.Settings,
    order: list[int],
    pairs_per_second: float,
    audit: bool,
) -> ServerRun:
    """Find the rate and run LoadGen; run it again at a lower rate if it missed its latency bound.

    That is the only reason to run again: the first run that holds the bound is the result.
    `pairs_per_second`: of all workers together, always busy.
    """
    most = part_pairs(pairs_per_second / len(pool.cores), pool.best_batch)
    found, pace = _search(ctx, files, pool, order, pairs_per_second, most)
    loadgen_here, phase = loadgen.LoadGen(), "measuring"
    superseded: list[dict[str, Any]] = []
    ctx.facts["superseded_runs"] = superseded
    for number, share in enumerate(server_run.SHARES, 1):
        rate = share * found
        queries = _queries(ctx, rate)
        seconds = queries / rate
        speed = f"{rate:.1f} queries/s whose latency holds"
        why = f"{queries} queries need {seconds:.0f} s at the {speed}"
        remedy = "Use a longer deadline, for example -e deadline=2h, or a faster machine"
        check_time_left(ctx, "the Server run", seconds, why, remedy)
        run = ServerRun(ctx, files, pool, queries, most, pace, phase)
        run.run(loadgen_here, replace(settings, target_qps=rate), accuracy=False, audit=audit)
        summary = (run.log_dir / loadgen.SUMMARY).read_text(encoding="utf-8")
        said = server_run.facts(summary)
        if number == len(server_run.SHARES) or not loadgen.too_slow(summary):
            break
        p99, bound = said["latency_p99_ms"], said["latency_bound_ms"]
        why = f"its 99th percentile was {p99:.1f} ms, the bound is {bound:.0f} ms"
        if p99 <= bound:
            why += ", but more queries were late than early stopping forgives in so short a run"
        completed = said["completed_samples_per_second"]
        superseded.append(run.supersede(number, rate, completed, why))
        phase = f"{why.removeprefix('its ')}: running again at a lower rate"
        ctx.status.update(phase)
    run.adopt()
    if audit:
        run.adopt([AUDIT_CONFIG])
    put_back = pool.line.put_back
    ctx.facts.update(target_qps=rate, pairs_of_a_part=most, queries_put_back=put_back, **said)
    return run


def _search(
    ctx: StageContext,
    files: SampleFiles,
    pool: ServingPool,
    order: list[int],
    pairs_per_second: float,
    most: int,
) -> tuple[float, Pace]:
    """Highest queries/s by the queue model, fitted to trials, and the pace that predicts lateness.

    Each trial runs at the rate that the one before suggests. The trial with the median rate counts,
    so that a neighbour at work during one trial changes little. StageError if that rate is 0.
    """
    chosen = probe.probe_samples(order, probe.PROBE_PAIRS, files.lengths)
    query_set = QuerySet(files, chosen, Progress(ctx, "loading trial set", "pairs"))
    pool.attach(query_set)
    parameters = ctx.request.parameters
    seconds = TRIAL_SHARE * parameters.min_duration_seconds
    seconds = min(max(seconds, LEAST_TRIAL_SECONDS), MOST_TRIAL_SECONDS)
    lengths, bound = files.lengths[np.asarray(order)], loadgen.SERVER_LATENCY_SECONDS
    guard = ServerRun(ctx, files, pool, 1, most).guarded
    trials: list[dict[str, float]] = []
    ctx.facts["trials"] = trials

    def highest(server: queue_model.Server) -> float:
        return queue_model.highest_rate(server, lengths, lambda rate: _queries(ctx, rate), bound)

    server = queue_model.Server(pairs_per_second, np.asarray([serving.PART_SECONDS]))
    rate = highest(server)
    # Even a machine on which a single query takes too long is tried, at half its capacity.
    rate = rate or pairs_per_second / float(lengths.mean()) / 2
    found: list[tuple[float, Pace]] = []
    for number in range(TRIALS):
        ctx.status.update(f"trying {rate:.1f} queries/s", 100 * number / TRIALS)
        pace = server.pace(bound)
        trial = server_run.try_rate(pool, query_set, chosen, rate, seconds, most, pace, guard)
        server = queue_model.fit(trial, pairs_per_second)
        held = highest(server)
        found.append((held, server.pace(bound)))
        trials.append(
            {
                "queries_per_second": round(rate, 3),
                "queries": len(trial.pairs),
                "put_back": int(trial.put_back.sum()),
                "p99_ms": round(1000 * float(np.quantile(trial.latencies, 0.99)), 3),
                "model_pairs_per_second": round(server.pairs_per_second, 1),
                "model_beside_ms": round(1000 * float(np.median(server.beside)), 3),
                "held_queries_per_second": round(held, 3),
            }
        )
        # If no rate holds, a neighbour may have been at work: try again at half the rate.
        tried, rate = rate, held or rate / 2
    pool.detach()
    query_set.close()
    median = sorted(found, key=lambda one: one[0])[TRIALS // 2]
    if not median[0]:
        raise StageError(
            "the Server run cannot start",
            f"no rate holds {1000 * bound:.0f} ms for 99 of 100 queries; at {tried:.2f} queries/s "
            f"they took up to {trials[-1]['p99_ms']:.0f} ms",
            "Take a machine with more or faster cores, or -e scenario=offline",
        )
    return median


def _queries(ctx: StageContext, rate: float) -> int:
    parameters = ctx.request.parameters
    least = server_run.DEMO_MIN_QUERIES if parameters.demo else loadgen.OFFICIAL_MIN_QUERIES
    return max(least, int(rate * parameters.min_duration_seconds))

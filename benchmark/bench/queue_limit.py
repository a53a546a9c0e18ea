"""How many samples a second the queue, the worker pool and LoadGen's responses can carry.

    PYTHONPATH=benchmark/src python benchmark/bench/queue_limit.py --output queue_limit.json

A stub engine answers at once; all else is the product's: OfflineRun, WorkerPool, LoadGen. The one
process that hands out and answers is what a machine with many cores would wait for, so its CPU time
a sample is measured too: its inverse is what it could carry with the workers on other cores. With
more workers than cores, several share a core, as on no real machine; it shows what their number
costs that process. A last run, not counted, says where that process's time goes.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import demo
import numpy as np
from crew import sample_files
from rounds import OtherLoad, enough, figure, write

from dlrm_bench.data.query_set import SampleFiles
from dlrm_bench.engines.choice import KERNEL_BATCH
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import loadgen
from dlrm_bench.measure.offline import OfflineRun
from dlrm_bench.network.arrays import Array
from dlrm_bench.workers.evidence import Evidence
from dlrm_bench.workers.pool import WorkerPool

#: 192 cores' worth of samples a second.
WANTED = 20_000
#: The tables are not read: the smallest demo's.
ROW_CAP = 100


class Stub:
    """An engine that answers at once."""

    def __init__(self, best_batch: int) -> None:
        self.best_batch = best_batch

    def forward(self, dense: Array, _ids: Array) -> Array:
        """Zeros, float32 [pairs]."""
        return np.zeros(len(dense), np.float32)


class Timed(OfflineRun):
    """Counts this process's CPU time while LoadGen waits for the query."""

    cpu_seconds = 0.0
    other_load = 0.0

    def issue(self, response_ids: list[int], samples: list[int]) -> None:
        """As OfflineRun's."""
        load, began = OtherLoad(self.pool.pids), time.process_time()
        super().issue(response_ids, samples)
        self.cpu_seconds = time.process_time() - began
        self.other_load = load.share()


class Ledger:
    """CPU time of one thread, by what it was spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def charge(self, holder: Any, name: str, to: str) -> Callable[[], None]:
        """Charge each call of holder.name; returns what ends it."""
        original = getattr(holder, name)

        @functools.wraps(original)
        def charged(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.seconds[to] += time.thread_time() - began

        setattr(holder, name, charged)
        return lambda: setattr(holder, name, original)


#: What of the loop is charged apart: no two of them are nested.
CHARGED = (
    (WorkerPool, "_messages", "waiting for and reading workers' messages"),
    (WorkerPool, "_give", "handing out batches"),
    (loadgen, "complete", "LoadGen's responses"),
    (Progress, "__call__", "status.json"),
    (Evidence, "sample", "evidence"),
)


def run(
    ctx: StageContext, files: SampleFiles, pool: WorkerPool, here: loadgen.LoadGen, samples: int
) -> dict[str, Any]:
    """One query of so many samples, under LoadGen."""
    settings = loadgen.Settings(
        # LoadGen issues SLACK x target_qps x min_duration samples.
        target_qps=(samples + 0.5) / loadgen.SLACK,
        min_duration_ms=1000,
        min_query_count=1,
        performance_sample_count=files.samples,
    )
    timed = Timed(ctx, files, pool)
    timed.run(here, settings, accuracy=False)
    totals, issued = timed.totals[0], timed.samples_issued
    said = loadgen.summary_fields((timed.log_dir / loadgen.SUMMARY).read_text(encoding="utf-8"))
    workers = sum(d.cpu_seconds for worker in totals.done for d in worker)
    return {
        "samples": issued,
        "samples_per_second": float(said["Samples per second"]),
        "seconds": round(totals.seconds, 3),
        "batches_per_second": round(totals.batches / totals.seconds, 1),
        "pairs_per_batch": round(totals.pairs / totals.batches, 1),
        "process_microseconds_per_sample": round(1e6 * timed.cpu_seconds / issued, 3),
        "process_could_carry": round(issued / timed.cpu_seconds, 1),
        "workers_microseconds_per_sample": round(1e6 * workers / issued, 3),
        "other_load": timed.other_load,
    }


def explain(
    ctx: StageContext, files: SampleFiles, pool: WorkerPool, here: loadgen.LoadGen, samples: int
) -> dict[str, float]:
    """Microseconds of CPU a sample, by what the process did; counting takes a little itself."""
    ledger = Ledger()
    undo = [ledger.charge(*charged) for charged in CHARGED]
    try:
        whole = run(ctx, files, pool, here, samples)["process_microseconds_per_sample"]
    finally:
        for end in undo:
            end()
    spent = {name: round(1e6 * s / samples, 3) for name, s in ledger.seconds.items()}
    return {**spent, "the rest": round(whole - sum(spent.values()), 3)}


def main() -> int:
    """0 when at least half of the rounds count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default=f"{len(os.sched_getaffinity(0))},32,192")
    parser.add_argument("--best-batch", type=int, default=KERNEL_BATCH)
    parser.add_argument("--data-rows", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run, about")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    raw: dict[int, list[dict[str, Any]]] = {}
    where: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="dlrm-queue-") as scratch:
        done = demo.prepare(Path(scratch), "int8", ROW_CAP, asked.data_rows)
        folder = Path(scratch) / "performance"
        demo.ask(folder, "performance", {"precision": "int8", "row_cap": ROW_CAP}, done)
        ctx, files = demo.context(folder), sample_files(done["dataset"])
        here = loadgen.LoadGen()
        make = functools.partial(Stub, asked.best_batch)
        for workers in map(int, asked.workers.split(",")):
            on = [cores[n % len(cores)] for n in range(workers)]
            with WorkerPool(make, int(files.lengths.max()), None, on) as pool:
                pool.wait_ready(lambda _ready, _all: None)
                rate = run(ctx, files, pool, here, WANTED // 10)["samples_per_second"]
                samples = int(rate * asked.seconds)
                raw[workers] = []
                for _ in range(asked.rounds):
                    raw[workers].append(run(ctx, files, pool, here, samples))
                    print(workers, json.dumps(raw[workers][-1]), flush=True)
                where[workers] = explain(ctx, files, pool, here, samples)
                print(workers, json.dumps(where[workers]), flush=True)
    every = [{"workers": workers, **one} for workers, found in raw.items() for one in found]
    keys = ("samples_per_second", "process_could_carry", "workers_microseconds_per_sample")
    summary = {workers: {key: figure(found, key) for key in keys} for workers, found in raw.items()}
    write(
        asked.output,
        "queue",
        every,
        wanted=WANTED,
        best_batch=asked.best_batch,
        pairs_per_sample=round(float(files.lengths.mean()), 2),
        cores=cores,
        microseconds_by_cause=where,
        summary=summary,
    )
    return 0 if enough(every) else 1


if __name__ == "__main__":
    raise SystemExit(main())

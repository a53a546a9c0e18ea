"""Stage accuracy: LoadGen's AccuracyOnly run over every sample, scored to AUC and compared."""

from __future__ import annotations

import json

import numpy as np

from dlrm_bench.data.names import DESCRIPTION_NAME, PLANTED_NAME
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import auc_gate, loadgen, offline as offline_run, scorer
from dlrm_bench.measure.loadgen import LoadGen, Settings
from dlrm_bench.measure.server import ServerRun
from dlrm_bench.network.arrays import Array
from dlrm_bench.serving.pool import LEAST_PART, ServingPool
from dlrm_bench.workers.pool import WorkerPool

#: Latency does not count in an accuracy run, so all queries of a set come at once.
SERVER_QPS = 1e6


def run(ctx: StageContext) -> None:
    """Infer and score; a missed target is a finding (passed: false), not a failure."""
    files = offline_run.sample_files(ctx)
    dataset_json = ctx.inputs("dataset").get(DESCRIPTION_NAME)
    if dataset_json is not None:
        dataset = json.loads(dataset_json.read_text(encoding="utf-8"))
        files.check_promise(dataset, dataset_json)
    demo, server = ctx.request.parameters.demo, ctx.request.parameters.scenario == "server"
    if not demo and files.samples < auc_gate.OFFICIAL_SAMPLES:
        raise StageError(
            "the official accuracy run cannot start",
            f"the data set has {files.samples} samples, but MLPerf's AUC gate is on all "
            f"{auc_gate.OFFICIAL_SAMPLES} of day 23",
            "Use the full data set, or -e profile=demo",
        )
    settings = Settings(
        target_qps=SERVER_QPS if server else 1.0,
        scenario=loadgen.SCENARIOS[ctx.request.parameters.scenario],
        min_query_count=1 if demo else None,
        performance_sample_count=files.samples if demo else None,
    )
    kind = ServingPool if server else WorkerPool
    with offline_run.open_pool(ctx, files, kind) as pool:
        pool.wait_ready(Progress(ctx, "starting workers", "workers"))
        if isinstance(pool, ServingPool):
            most = max(pool.best_batch, LEAST_PART)
            offline: offline_run.OfflineRun = ServerRun(ctx, files, pool, files.samples, most)
        else:
            offline = offline_run.OfflineRun(ctx, files, pool)
        offline.run(LoadGen(), settings, accuracy=True)
        offline.adopt()
    predictions = scorer.read_predictions(
        ctx.output_dir / loadgen.ACCURACY_LOG,
        files.starts,
        offline.labels,
        Progress(ctx, "scoring", "samples"),
    )
    area = scorer.auc(predictions.scores, predictions.labels)
    share = PRECISIONS[ctx.request.parameters.precision].auc_gate
    with ctx.open_output("accuracy.txt") as file:
        log_sha256 = str(ctx.outputs[loadgen.ACCURACY_LOG]["sha256"])
        file.write(scorer.accuracy_text(area, predictions, log_sha256).encode("ascii"))
    ctx.facts.update(
        auc=area,
        samples=predictions.samples,
        pairs=len(predictions.scores),
        pairs_computed=sum(totals.pairs for totals in offline.totals),
        query_set_bytes=offline.query_set_bytes,
        engine=pool.engine_name,
        best_batch=pool.best_batch,
        **offline_run.tuning_facts(ctx),
        workers=len(pool.cores),
        placement=pool.placement,
        versions=offline_run.versions(),
        **auc_gate.judge(share, demo, area, predictions.scores, predictions.labels, _planted(ctx)),
    )


def _planted(ctx: StageContext) -> Array | None:
    path = ctx.inputs("dataset").get(PLANTED_NAME)
    return None if path is None else np.load(path, mmap_mode="r", allow_pickle=False)

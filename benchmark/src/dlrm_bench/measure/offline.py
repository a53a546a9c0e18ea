"""One Offline run under LoadGen: samples, workers and LoadGen brought together.

LoadGen calls load, issue and unload on the thread that runs it. An exception cannot pass through
LoadGen's C++ code, so a failure is written to status.json and the process ends at once.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import logging
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.random import default_rng  # Here: numpy loads it late, which would be timed.

from dlrm_bench.data.names import SAMPLE_NAMES
from dlrm_bench.data.query_set import PAIR_BYTES, QuerySet, SampleFiles
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.deadline import deadline_check
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.frame.progress import Progress
from dlrm_bench.measure import loadgen
from dlrm_bench.memory.placed_model import PlacedModel, place
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.workers.evidence import Evidence
from dlrm_bench.workers.pool import Batch, RunTotals, WorkerPool, group
from dlrm_bench.workers.process import THREADS_PER_WORKER, MakeEngine

if TYPE_CHECKING:
    from dlrm_bench.engines.choice import Choice

#: Samples of the timed query whose answers are kept, and how many pairs of each.
KEPT_SAMPLES, KEPT_PAIRS = 16, 32
USER_CONF, AUDIT_CONFIG = "user.conf", "audit.config"
#: Files kept of a run that is run again, named "superseded_<number of the run>_...".
SUPERSEDED_FILES = (loadgen.SUMMARY, loadgen.DETAIL, USER_CONF)
#: Stage tune's decision. Later stages read only this file, so only another decision remakes them.
CHOICE = "choice.json"
CHECK_SECONDS = 0.5

T = TypeVar("T")


def weights_path(ctx: StageContext) -> Path:
    """The model file of the asked precision."""
    model = PRECISIONS[ctx.request.parameters.precision].model
    return ctx.input(model.stage, model.file)


def engine_maker(ctx: StageContext) -> MakeEngine:
    """What each worker calls to get its engine."""
    from dlrm_bench.engines.choice import load_engine

    parameters = ctx.request.parameters
    rows = row_counts(parameters.row_cap)
    return functools.partial(
        load_engine, parameters.precision, weights_path(ctx), rows, choice=tuned_choice(ctx)
    )


def tuned_choice(ctx: StageContext) -> Choice | None:
    """Stage tune's choice for this machine type; None if the request has no tune."""
    from dlrm_bench.engines.choice import Choice

    if not ctx.request.parameters.tune:
        return None
    path = ctx.input("tune", CHOICE)
    what, remedy = f"cannot use '{path}'", "Run again with -e force_stages=tune"
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))
        threads, choice = chosen["threads_per_worker"], Choice(chosen["engine"], chosen["batch"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StageError(what, f"{type(error).__name__}: {error}", remedy) from error
    if threads != THREADS_PER_WORKER:
        why = f"it asks for {threads} threads a worker, this image runs {THREADS_PER_WORKER}"
        raise StageError(what, why, remedy)
    return choice


def tuning_facts(ctx: StageContext) -> dict[str, Any]:
    """Facts for stage.json: whether stage tune chose engine and batch, and threads a worker."""
    return {"tuned": ctx.request.parameters.tune, "threads_per_worker": THREADS_PER_WORKER}


def sample_files(ctx: StageContext) -> SampleFiles:
    """The dataset stage's .bin files and trace."""
    return SampleFiles(*(ctx.input("dataset", name) for name in SAMPLE_NAMES))


def versions() -> dict[str, str]:
    """Versions of the software that the figures depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "loadgen": importlib.metadata.version(loadgen.NAME),
    }


def open_pool(
    ctx: StageContext, files: SampleFiles, kind: type[WorkerPool] = WorkerPool
) -> WorkerPool:
    """Load the weights and make a pool; the caller enters it and waits until it is ready."""
    most = files.samples if ctx.request.parameters.demo else loadgen.OFFICIAL_PERFORMANCE_SAMPLES
    query_set_bytes = PAIR_BYTES * files.rows * min(most, files.samples) // files.samples
    model = place_model(ctx, query_set_bytes)
    ctx.status.update("starting workers")
    longest = int(files.lengths.max())
    return kind(engine_maker(ctx), longest, model.path, tick=deadline_check(ctx), model=model)


def place_model(ctx: StageContext, other_bytes: int) -> PlacedModel:
    """Load the weights where workers read them; `other_bytes`: what the run needs beside them."""
    resident = PRECISIONS[ctx.request.parameters.precision].model.resident
    progress = Progress(ctx, "loading model", "bytes")
    cpus = os.sched_getaffinity(0)
    return place(weights_path(ctx), cpus, resident, other_bytes, progress, deadline_check(ctx))


class OfflineRun:
    """LoadGen's callbacks for one run, and its counts."""

    def __init__(
        self, ctx: StageContext, files: SampleFiles, pool: WorkerPool, phase: str = "measuring"
    ) -> None:
        """`phase`: what status.json calls the timed part."""
        self.ctx, self.files, self.pool, self.phase = ctx, files, pool, phase
        self.log_dir = Path()
        self.query_set: QuerySet | None = None
        self.query_set_bytes = self.samples_issued = self.pairs_issued = 0
        self.totals: list[RunTotals] = []
        self.evidence: dict[str, Any] = {}
        #: Label of each row as read from the .bin file; -1 for rows that no set has held.
        self.labels: Array = np.full(files.rows, -1, dtype=np.int8)
        #: Sample -> its first predictions, for a few samples of the query.
        self.kept: dict[int, Array] = {}
        self._checked = 0.0

    def run(
        self,
        loadgen_here: loadgen.LoadGen,
        settings: loadgen.Settings,
        accuracy: bool,
        audit: bool = False,
    ) -> None:
        """Run LoadGen; its logs, user.conf and audit.config stay in log_dir until adopt()."""
        self.log_dir = Path(tempfile.mkdtemp(prefix="loadgen-", dir=self.ctx.scratch_dir))
        sut = loadgen.SystemUnderTest(
            self.files.samples,
            self.guarded(self.load),
            self.guarded(self.unload),
            self.guarded(self.issue),
        )
        audit_config = self.log_dir / AUDIT_CONFIG if audit else None
        loadgen_here.run(
            sut, settings, self.log_dir / USER_CONF, accuracy, self.log_dir, audit_config
        )
        self._check_counts()

    def adopt(self, names: Sequence[str] = (*loadgen.LOGS, USER_CONF), prefix: str = "") -> None:
        """Make files of this run outputs of the stage, each named prefix + name."""
        for name in names:
            self.ctx.adopt_output(prefix + name, self.log_dir / name)

    def supersede(
        self, number: int, target_qps: float, samples_per_second: float, why: str
    ) -> dict[str, Any]:
        """Keep files of this run, the stage's `number`th, which is run again; what stage.json says.

        `why`: it does not count.
        """
        prefix = f"superseded_{number}_"
        self.adopt(SUPERSEDED_FILES, prefix)
        return {
            "target_qps": target_qps,
            "samples": self.samples_issued,
            "seconds": round(self.totals[0].seconds, 3),
            "samples_per_second": samples_per_second,
            "why": why,
            "files": [prefix + name for name in SUPERSEDED_FILES],
        }

    def load(self, samples: list[int]) -> None:
        """Make LoadGen's set resident, here and in every worker."""
        progress = Progress(self.ctx, "loading query set", "pairs")

        def tick(done: int, total: int) -> None:
            progress(done, total)
            if time.monotonic() - self._checked >= CHECK_SECONDS:
                self._checked = time.monotonic()
                self.pool.check_alive()

        self.query_set = QuerySet(self.files, samples, tick)
        self.query_set_bytes = max(self.query_set_bytes, self.query_set.bytes)
        self.pool.attach(self.query_set)
        starts, lengths = self.files.starts, self.files.lengths
        for sample, (offset, length) in zip(
            samples, self.query_set.spans(np.asarray(samples)), strict=True
        ):
            rows = slice(starts[sample], starts[sample] + lengths[sample])
            self.labels[rows] = self.query_set.arrays.labels[offset : offset + length]

    def unload(self, _samples: list[int]) -> None:
        """Give the set's memory back before the next is loaded."""
        if self.query_set is not None:
            self.pool.detach()
            self.query_set.close()
            self.query_set = None

    def issue(self, response_ids: list[int], samples: list[int]) -> None:
        """Infer and answer every sample of the query, as often as the query names it."""
        assert self.query_set is not None
        spans = self.query_set.spans(np.asarray(samples))
        total = len(samples)
        self.samples_issued += total
        self.pairs_issued += int(spans[:, 1].sum())
        keep = set(default_rng().choice(total, min(KEPT_SAMPLES, total), replace=False).tolist())
        progress, answered = Progress(self.ctx, self.phase, "samples"), 0
        evidence = Evidence(self.pool.cores, self.pool.pids)

        def done(batch: Batch, results: Array) -> None:
            nonlocal answered
            sizes = 8 * batch.spans[:, 1]
            addresses = results.ctypes.data + np.cumsum(sizes) - sizes
            ids = response_ids[batch.first : batch.last]
            loadgen.complete(ids, addresses.tolist(), sizes.tolist())
            answered += len(ids)
            progress(answered, total)
            evidence.sample()
            for position in keep.intersection(range(batch.first, batch.last)):
                at = int(batch.spans[: position - batch.first, 1].sum())
                length = min(KEPT_PAIRS, int(spans[position, 1]))
                self.kept[samples[position]] = results[at : at + length, 0].copy()

        batches = group(spans, self.pool.best_batch, len(self.pool.cores))
        self.totals.append(self.pool.run(batches, done))
        self.evidence = evidence.facts(self.totals[-1].major_faults)

    def _check_counts(self) -> None:
        computed = sum(totals.pairs for totals in self.totals)
        if computed != self.pairs_issued:
            raise StageError(
                "the run is not valid",
                f"workers computed {computed} pairs, LoadGen issued {self.pairs_issued}",
                "Report this as a bug",
            )

    def guarded(self, callback: Callable[..., T]) -> Callable[..., T]:
        """`callback` for callers that cannot take an exception: a failure ends the process."""

        @functools.wraps(callback)
        def guarded(*args: Any) -> T:
            try:
                return callback(*args)
            except BaseException as error:
                self._abort(error)
                raise

        return guarded

    def _abort(self, error: BaseException) -> None:
        """Write the failure to status.json, then end the process."""
        if not isinstance(error, StageError):
            traceback.print_exc()
            error = StageError(
                f"stage '{self.ctx.request.stage}' failed in LoadGen's run",
                f"{type(error).__name__}: {error}",
                f"The traceback is in '{self.ctx.attempt_dir / 'log.txt'}'",
            )
        self.ctx.status.fail(str(error))
        self.pool.kill()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

"""Runs one stage: reads the request, writes outputs and stage.json, keeps status.json current."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import json
import logging
import os
import pkgutil
import resource
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

from dlrm_bench import stages
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError, Unfinished
from dlrm_bench.frame.hashed_file import fsync_directory
from dlrm_bench.frame.request import SCHEMA_VERSION, Request, dlrm_root, now, parse_time
from dlrm_bench.frame.status import StatusWriter

LOG = logging.getLogger("dlrm_bench")
OUT_OF_MEMORY_WORDS = ("can't allocate memory", "cannot allocate memory", "out of memory")


def run_stage() -> int:
    """Do what request.json asks; returns 0 if stage.json was written, else 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    root = dlrm_root()
    try:
        request = Request.read(root / "request.json")
        ctx = _prepare(request, root / "output")
    except (StageError, OSError) as error:
        LOG.error("failed: %s", error)
        return 1
    _fail_on_sigterm(ctx)
    started = time.monotonic()
    keep = False
    try:
        run = _find(request.stage)
        ctx.remove_leftovers()
        _check_inputs(request)
        ctx.scratch_dir.mkdir()
        run(ctx)
        _write_stage_json(ctx, time.monotonic() - started)
    except BaseException as error:
        keep = isinstance(error, Unfinished)
        if not isinstance(error, StageError):
            LOG.exception("stage '%s' raised", request.stage)
        ctx.status.fail(_worded(error, ctx))
        return 1
    finally:
        shutil.rmtree(ctx.scratch_dir, ignore_errors=True)
        if not keep:
            shutil.rmtree(ctx.fetched_dir, ignore_errors=True)
    ctx.status.finish()
    return 0


def _prepare(request: Request, output_dir: Path) -> StageContext:
    attempt_dir = output_dir / "attempts" / str(request.attempt)
    attempt_dir.mkdir(parents=True, exist_ok=True)
    status = StatusWriter(attempt_dir / "status.json", request)
    status.start()
    return StageContext(request, output_dir, status)


def _find(stage: str) -> Any:
    known = sorted(m.name for m in pkgutil.iter_modules(stages.__path__))
    if stage not in known:
        raise StageError(
            f"cannot run stage '{stage}'",
            f"this image knows {', '.join(known)}",
            "Use a stages.json and an image of the same commit",
        )
    return importlib.import_module(f"dlrm_bench.stages.{stage}").run


def _check_inputs(request: Request) -> None:
    """Compare sizes only: the key holds the sha256, and hashing 100 GB takes minutes a stage."""
    for file in request.inputs:
        what = f"input '{file.name}' of stage '{file.stage}' cannot be used"
        remedy = f"Run again with -e force_stages={file.stage}"
        if not file.path.is_file():
            raise StageError(what, f"'{file.path}' is not there", remedy)
        size = file.path.stat().st_size
        if size != file.bytes:
            raise StageError(
                what, f"it has {size} bytes, its stage.json promises {file.bytes}", remedy
            )


def _fail_on_sigterm(ctx: StageContext) -> None:
    """Notice SIGTERM of the deadline or an operator even while the main thread is in C code.

    The C-level handler writes to a pipe at once; a thread reads it, records the failure and exits.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    # A forked worker that gets SIGTERM must die itself and write nothing about the stage.
    os.register_at_fork(
        before=lambda: _mask_sigterm(signal.SIG_BLOCK),
        after_in_parent=lambda: _mask_sigterm(signal.SIG_UNBLOCK),
        after_in_child=_restore_sigterm,
    )
    threading.Thread(target=_await_sigterm, args=(reader, ctx), daemon=True).start()


def _mask_sigterm(how: int) -> None:
    signal.pthread_sigmask(how, [signal.SIGTERM])


def _restore_sigterm() -> None:
    # A SIGTERM that came during the fork is delivered by the unmasking below.
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _mask_sigterm(signal.SIG_UNBLOCK)


def _await_sigterm(reader: int, ctx: StageContext) -> None:
    while signal.SIGTERM not in os.read(reader, 64):
        pass
    ctx.status.fail(_stopped(ctx.request))
    # The next attempt removes partial outputs: SIGKILL follows within seconds.
    os._exit(1)


def _stopped(request: Request) -> str:
    late = parse_time(now()) >= parse_time(request.deadline)
    why = (
        f"its deadline {request.deadline} came before it was done"
        if late
        else f"it got SIGTERM at {now()}, before its deadline {request.deadline}"
    )
    remedy = "Run again"
    if late:
        remedy += " with a longer deadline, for example -e deadline=2h"
    return str(StageError(f"stage '{request.stage}' was stopped", why, remedy))


def _worded(error: BaseException, ctx: StageContext) -> str:
    """The message for status.json, whatever was raised."""
    stage = ctx.request.stage
    if isinstance(error, StageError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        name = error.filename or ctx.output_dir
        free = shutil.disk_usage(ctx.output_dir).free / 2**30
        return str(
            StageError(
                f"stage '{stage}' cannot write '{name}'",
                f"the disk is full ({free:.1f} GiB free; {error.strerror})",
                "Free space below the host's dlrm root and run again",
            )
        )
    text = str(error)
    if isinstance(error, MemoryError) or any(w in text.lower() for w in OUT_OF_MEMORY_WORDS):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return str(
            StageError(
                f"stage '{stage}' ran out of memory",
                f"it used {used:.1f} GiB when an allocation failed ({text or 'MemoryError'})",
                "Use a machine with more memory, or the demo profile with a lower row_cap",
            )
        )
    return str(
        StageError(
            f"stage '{stage}' failed",
            f"{type(error).__name__}: {text or 'no message'}",
            f"The traceback is in '{ctx.attempt_dir / 'log.txt'}'",
        )
    )


def _write_stage_json(ctx: StageContext, seconds: float) -> None:
    request = ctx.request
    if not ctx.outputs:
        raise StageError(
            f"stage '{request.stage}' failed", "it ended without any output", "Report this as a bug"
        )
    ctx.facts.setdefault("seconds", round(seconds, 3))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    ctx.facts.setdefault("peak_memory_bytes", peak)
    document = {
        "schema_version": SCHEMA_VERSION,
        "stage": request.stage,
        "key": request.key,
        "recipe": request.recipe,
        "attempt": request.attempt,
        "run_id": request.run_id,
        "parameters": request.document["parameters"],
        "inputs": [
            {"stage": f.stage, "name": f.name, "bytes": f.bytes, "sha256": f.sha256}
            for f in request.inputs
        ],
        "outputs": [ctx.outputs[name] for name in sorted(ctx.outputs)],
        "facts": ctx.facts,
        "provenance": dict(request.provenance),
        "started_at": ctx.status.started_at,
        "finished_at": now(),
    }
    path = ctx.output_dir / "stage.json"
    partial = path.with_name("stage.json.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    fsync_directory(ctx.output_dir)

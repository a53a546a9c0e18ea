"""`python toy_stage.py NAME`: the real stage runner with a stage of this file."""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import time
from pathlib import Path

from dlrm_bench import runner as stage_runner
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError


def good(ctx: StageContext) -> None:
    """Makes two outputs: one in a folder, one adopted."""
    with ctx.open_output("folder/first.bin") as output:
        output.write(b"first")
    scratch = ctx.scratch_dir / "second.txt"
    scratch.write_text("second")
    ctx.adopt_output("second.txt", scratch)
    ctx.facts["found"] = 42


def nothing(ctx: StageContext) -> None:
    """Makes no output."""
    ctx.status.update("idling")


def crash(ctx: StageContext) -> None:
    """Ends in the middle of its second output."""
    with ctx.open_output("whole.bin") as output:
        output.write(b"whole")
    with ctx.open_output("half.bin") as output:
        output.write(b"half")
        raise LookupError("no such row")


def refuse(_ctx: StageContext) -> None:
    """Fails with a StageError."""
    raise StageError("cannot read 'x'", "wanted 3 rows, found 2", "Bring 3 rows")


def disk_full(_ctx: StageContext) -> None:
    """Writes to a device that really is full."""
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def memory(_ctx: StageContext) -> None:
    """Allocates more memory than any machine has."""
    bytearray(1 << 62)


def busy(ctx: StageContext) -> None:
    """Stays in C code that signals do not interrupt."""
    ctx.status.update("busy")
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", (1 << 31) - 1)


def terminated_worker(ctx: StageContext) -> None:
    """A forked worker is terminated; the stage goes on."""
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    worker.start()
    worker.terminate()
    worker.join()
    good(ctx)
    ctx.facts["worker_exit"] = worker.exitcode


if __name__ == "__main__":
    stage_runner._find = lambda stage: globals()[sys.argv[1]]
    sys.exit(stage_runner.run_stage())

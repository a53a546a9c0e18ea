"""Engines on several cores at once, without LoadGen, queues or shared results.

Each member is a process pinned to one core that has an engine and the data set's pairs in memory;
it runs when told and sleeps otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from candidates import Forward, Pairs, Published, product

from dlrm_bench.data.names import SAMPLE_NAMES
from dlrm_bench.data.query_set import SampleFiles

WARM_UP_CALLS = 3
#: An engine of the largest demo is loaded within this, or something is badly wrong.
READY_SECONDS = 600


def engine(precision: str, model: Path, rows: Sequence[int]) -> tuple[Forward, int]:
    """The product's engine and its best batch."""
    found = product(precision, model, rows)
    return found, found.best_batch


def published(
    recipe: Path, precision: str, dump: Path, rows: Sequence[int], batch: int
) -> tuple[Forward, int]:
    """The recipe's arithmetic and the batch it is given."""
    return Published(recipe, precision, dump, rows), batch


class Crew:
    """One member a core; a context manager."""

    def __init__(
        self, make: Callable[[], tuple[Forward, int]], dataset: Path, cores: Sequence[int]
    ) -> None:
        """`make` is called in each member; `dataset`: the stage's outputs."""
        context = multiprocessing.get_context("forkserver")
        self._pipes: dict[int, Connection] = {}
        self.pids: list[int] = []
        self._processes = []
        for core in cores:
            ours, theirs = context.Pipe()
            arguments = (theirs, core, make, dataset, core / max(len(cores), 1))
            process = context.Process(target=_member, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes[core] = ours
            self._processes.append(process)
            self.pids.append(process.pid or 0)
        for core, pipe in self._pipes.items():
            if not pipe.poll(READY_SECONDS):
                raise SystemExit(f"The engine on core {core} was not loaded in {READY_SECONDS} s.")
            pipe.recv()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def run(self, cores: Sequence[int], seconds: float) -> float:
        """Pairs a second of the members on these cores together, all running at once."""
        for core in cores:
            self._pipes[core].send(seconds)
        return float(sum(self._pipes[core].recv() for core in cores))


def _member(
    pipe: Connection,
    core: int,
    make: Callable[[], tuple[Forward, int]],
    dataset: Path,
    start: float,
) -> None:
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    forward, batch = make()
    parts = _pairs(dataset).cut(batch)
    # Members read different pairs at any one time.
    at = int(start * len(parts)) % len(parts)
    for part in parts[:WARM_UP_CALLS]:
        forward(part)
    pipe.send("ready")
    while True:
        seconds = pipe.recv()
        pairs, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            forward(parts[at])
            pairs += len(parts[at])
            at = (at + 1) % len(parts)
        pipe.send(pairs / spent)


def _pairs(dataset: Path) -> Pairs:
    files = sample_files(dataset)
    return Pairs(files.dense.copy(), np.ascontiguousarray(files.label_sparse[:, 1:]))


def sample_files(dataset: Path) -> SampleFiles:
    """Stage dataset's samples."""
    return SampleFiles(*(dataset / name for name in SAMPLE_NAMES))

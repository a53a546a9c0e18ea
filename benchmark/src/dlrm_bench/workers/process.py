"""One inference worker: a process pinned to one core, with its own engine and mapped weights.

It gets its orders over a channel, one message a batch. It reads pairs from shared memory and writes
results to it. It never outlives the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.reduction import recv_handle
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from dlrm_bench.data.query_set import PairArrays
from dlrm_bench.memory.resident import adopt_shared, huge_page_bytes
from dlrm_bench.memory.shared import SharedMemory
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS
from dlrm_bench.workers.channel import Channel

#: Batches a worker holds: one in work, one waiting, so that it never waits for the next.
BATCHES_IN_FLIGHT = 2
#: One worker for each core.
THREADS_PER_WORKER = 1
#: Characters of a failure's traceback that are sent: its end.
MOST_TRACEBACK = 20_000
PR_SET_PDEATHSIG = 1
MADV_POPULATE_READ = 22  # Linux 5.14


class Engine(Protocol):
    """What engines.choice.load_engine returns."""

    best_batch: int

    def forward(self, dense: Array, ids: Array) -> Array:
        """float32 [pairs, 13], int32 [pairs, 214] -> float32 [pairs] probabilities."""


MakeEngine = Callable[[], Engine]


class Done(NamedTuple):
    """What one batch took."""

    pairs: int
    seconds: float
    cpu_seconds: float
    major_faults: int


class Worker:
    """State of one worker process."""

    def __init__(self, channel: Channel, engine: Engine) -> None:
        self.channel = channel
        self.engine = engine
        self.pairs: PairArrays | None = None
        self.results: Array = np.empty((0, 0, 2), dtype=np.float32)
        self.dense: Array = np.empty((0, DENSE_FEATURES), dtype=np.float32)
        self.ids: Array = np.empty((0, IDS), dtype=np.int32)

    def serve(self) -> None:
        """Answer messages until told to stop or the other end is gone."""
        with torch.inference_mode():
            while True:
                self.answer(self.channel.receive())

    def answer(self, message: tuple[Any, ...]) -> None:
        """Do what one message asks."""
        if message[0] == "batch":
            self.channel.send("done", *self.batch(*message[1:]))
        elif message[0] == "results":
            self.take_results(*message[1:])
        elif message[0] == "attach":
            self.attach(message[1])
        elif message[0] == "detach":
            self.pairs = None
            self.channel.send("detached")

    def take_results(self, first_slot: int, slots: int, most_pairs: int) -> None:
        """Map the shared results; this worker writes BATCHES_IN_FLIGHT slots from first_slot on."""
        memory = self._receive(slots * most_pairs * 8)
        every = memory.array(np.float32, 0, (slots, most_pairs, 2))
        self.results = every[first_slot : first_slot + BATCHES_IN_FLIGHT]
        self.results[:] = 0
        self.dense = np.zeros((most_pairs, DENSE_FEATURES), dtype=np.float32)
        self.ids = np.zeros((most_pairs, IDS), dtype=np.int32)

    def attach(self, pairs: int) -> None:
        """Map the query set, every page of it."""
        memory = self._receive(0)
        memory.make_resident()
        self.pairs = PairArrays(memory, pairs)
        self.channel.send("attached")

    def _receive(self, size: int) -> SharedMemory:
        descriptor = recv_handle(self.channel)
        memory = SharedMemory(size or os.fstat(descriptor).st_size, descriptor)
        memory.close()
        return memory

    def batch(self, number: int, slot: int, spans: bytes) -> tuple[int | float, ...]:
        """Infer the samples at these spans; returns the batch's number and the fields of Done."""
        assert self.pairs is not None
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        results, at = self.results[slot], 0
        for offset, length in np.frombuffer(spans, dtype=np.int64).reshape(-1, 2).tolist():
            source, to = slice(offset, offset + length), slice(at, at + length)
            self.dense[to] = self.pairs.dense[source]
            self.ids[to] = self.pairs.ids[source]
            results[to, 1] = self.pairs.labels[source]
            at += length
        self._infer(at, results)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return number, at, seconds, cpu_seconds, after.ru_majflt - before.ru_majflt

    def _infer(self, pairs: int, results: Array) -> None:
        scores = self.engine.forward(self.dense[:pairs], self.ids[:pairs])
        if scores.shape != (pairs,):
            raise ValueError(f"scores have shape {scores.shape}, wanted ({pairs},)")
        if not np.isfinite(scores).all():
            raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are not finite")
        results[:pairs, 0] = scores


def worker_main(
    end: socket,
    core: int,
    make_engine: MakeEngine,
    weights: Path | None,
    copied: bool,
    niceness: int,
) -> None:
    """Entry point of the process; a failure's last message is ("error", what, traceback).

    `end`: this side of the channel to the pool; if `copied`, the descriptor of the weights' copy in
    memory comes first through it. `niceness`: added to the process's nice value.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, {core})
    os.nice(niceness)
    if niceness:
        # A worker that gets work then does not take the CPU from the thread that gives it.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    channel = Channel(end)
    try:
        torch.set_num_threads(THREADS_PER_WORKER)
        began = time.perf_counter()
        copy = None
        if weights is not None and copied:
            copy = adopt_shared(weights, recv_handle(channel))
        engine = make_engine()
        huge = 0
        if copy is not None:
            copy.populate()
            huge = copy.huge_page_bytes()
        elif weights is not None:
            populate_mappings(weights)
            file = os.path.realpath(weights)
            huge = huge_page_bytes(lambda _start, name: name == file)
        name = getattr(engine, "name", type(engine).__name__)
        channel.send("ready", int(engine.best_batch), name, time.perf_counter() - began, huge)
        Worker(channel, engine).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # The process that started it is gone or has closed its end.
    except BaseException as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        channel.send("error", text, traceback.format_exc()[-MOST_TRACEBACK:])
        os._exit(1)


def populate_mappings(path: Path) -> int:
    """Map every page of a file that this process has mapped; returns the bytes populated.

    Without it a worker takes a page fault at the first touch of each part of a table. Older kernels
    do nothing; there the faults are minor, because the pages are in memory all the same.
    """
    libc, populated = ctypes.CDLL(None, use_errno=True), 0
    name = os.path.realpath(path)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ +(.*)", line)
        if found and found[3] == name:
            start, end = int(found[1], 16), int(found[2], 16)
            address, size = ctypes.c_void_p(start), ctypes.c_size_t(end - start)
            if libc.madvise(address, size, MADV_POPULATE_READ) == 0:
                populated += end - start
    return populated

"""The pool of inference workers: one process a core, work handed out in small batches.

The process that owns the pool sleeps while they work. If a worker ends early, WorkerError names the
worker, the cause and the batch.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dlrm_bench.data.query_set import QuerySet
from dlrm_bench.frame.errors import StageError
from dlrm_bench.memory.placed_model import PlacedModel
from dlrm_bench.memory.shared import SharedMemory
from dlrm_bench.network.arrays import Array
from dlrm_bench.workers import channel
from dlrm_bench.workers.channel import Channel
from dlrm_bench.workers.process import BATCHES_IN_FLIGHT, Done, MakeEngine, worker_main

LOG = logging.getLogger("dlrm_bench")
#: Fewest engine calls of best_batch pairs in one batch, and the pairs it should have: on a fast
#: core, messages took 0.6 % of the time with batches of 504 pairs.
CALLS_A_BATCH, PAIRS_A_BATCH = 4, 2048
POLL_SECONDS = 0.5
#: A deadline's SIGTERM ends workers too; the stage's own message about it must come first.
GRACE_SECONDS = 0.5


class WorkerError(StageError):
    """A worker failed; the run is not valid."""


@dataclass(frozen=True)
class Batch:
    """Whole samples that one worker gets at once."""

    number: int
    first: int  # position of the first sample within the query
    spans: Array  # offset and length of each in the query set, int64 [n, 2]
    pairs: int  # of all its samples

    @property
    def last(self) -> int:
        """One past the position of the last sample."""
        return self.first + len(self.spans)


@dataclass
class RunTotals:
    """What the workers report as done; `done` holds each worker's batches."""

    done: list[list[Done]]
    seconds: float = 0.0

    @property
    def pairs(self) -> int:
        """Pairs inferred."""
        return sum(d.pairs for worker in self.done for d in worker)

    @property
    def batches(self) -> int:
        """Batches inferred."""
        return sum(len(worker) for worker in self.done)

    @property
    def major_faults(self) -> int:
        """Page faults that went to disk while batches were inferred."""
        return sum(d.major_faults for worker in self.done for d in worker)

    @property
    def busy_pairs_per_second(self) -> float:
        """Sum over workers of pairs / seconds spent inferring: the rate without any overhead."""
        return self._rate("seconds")

    @property
    def undisturbed_pairs_per_second(self) -> float:
        """The same by CPU time: the rate if nothing else ran on the cores."""
        return self._rate("cpu_seconds")

    def _rate(self, of: str) -> float:
        spent = [sum(float(getattr(d, of)) for d in worker) for worker in self.done]
        pairs = [sum(d.pairs for d in worker) for worker in self.done]
        return sum(p / s for p, s in zip(pairs, spent, strict=True) if s > 0)


def batch_pairs(best_batch: int) -> int:
    """Most pairs of a batch."""
    return best_batch * max(CALLS_A_BATCH, PAIRS_A_BATCH // best_batch)


def group(
    spans: Array, best_batch: int, workers: int = 1, most: int | None = None
) -> Iterator[Batch]:
    """Cut a query into batches of whole samples, in the query's order.

    A batch holds several full calls of the engine, so that its last, partly filled call costs
    little. A sample that the query repeats is computed as often. Towards the end batches shrink, so
    that all workers end at about the same time. `spans`: as Batch's; `most`: pairs of a batch.
    """
    most, least = most or batch_pairs(best_batch), best_batch // 2
    ends = np.cumsum(spans[:, 1])
    first = number = done = 0
    while first < len(spans):
        share = (int(ends[-1]) - done) // (2 * BATCHES_IN_FLIGHT * workers)
        size = min(most, max(least, share))
        last = int(np.searchsorted(ends, done + size, side="right"))
        last = max(last, first + 1)
        end = int(ends[last - 1])
        yield Batch(number, first, spans[first:last], end - done)
        first, number, done = last, number + 1, end


class Handle:
    """One worker as seen from the pool."""

    def __init__(self, index: int, core: int, process: BaseProcess, to: Channel) -> None:
        self.index, self.core, self.process, self.channel = index, core, process, to
        self.slots = list(range(BATCHES_IN_FLIGHT))
        self.held: dict[int, tuple[Batch, int]] = {}

    def __str__(self) -> str:
        return f"worker {self.index} on core {self.core} (process {self.process.pid})"


class WorkerPool:
    """Starts workers, hands out batches, notices when a worker ends; a context manager."""

    #: Added to the workers' nice value, which lowers their priority.
    niceness = 0

    def __init__(
        self,
        make_engine: MakeEngine,
        longest_sample: int,
        weights: Path | None = None,
        cores: Sequence[int] | None = None,
        tick: Callable[[], None] = lambda: None,
        model: PlacedModel | None = None,
    ) -> None:
        """`tick` is called at least twice a second in every wait; what it raises ends the wait.

        `model`: decides on the workers' cores, and may hold copies of `weights` for them to map.
        """
        self.cores = sorted(os.sched_getaffinity(0)) if cores is None else list(cores)
        if model is not None:
            self.cores = [cpu.number for cpu in model.placement.cpus]
        #: Where workers and model lie, once all are ready; empty without a placed model.
        self.placement: dict[str, Any] = {}
        self._model = model
        self.best_batch = 0
        self.engine_name = ""
        self._make_engine, self._weights, self._longest = make_engine, weights, longest_sample
        self._tick = tick
        self._selector = selectors.DefaultSelector()
        self._handles: list[Handle] = []
        self._results: Array = np.empty((0, 0, 2), dtype=np.float32)

    def __enter__(self) -> WorkerPool:
        context = multiprocessing.get_context("forkserver")
        # Imported once by the fork server, so that workers start fast and share those pages.
        context.set_forkserver_preload(["torch", "dlrm_bench.workers.process"])
        for index, core in enumerate(self.cores):
            ours, theirs = channel.pair()
            copy = None if self._model is None else self._model.descriptor(core)
            process = context.Process(
                target=worker_main,
                args=(
                    *(theirs, core, self._make_engine, self._weights),
                    *(copy is not None, self.niceness),
                ),
                daemon=True,
            )
            process.start()
            theirs.close()
            handle = Handle(index, core, process, Channel(ours))
            self._handles.append(handle)
            self._selector.register(handle.channel, selectors.EVENT_READ, handle)
            self._selector.register(process.sentinel, selectors.EVENT_READ, handle)
            if copy is not None:
                self._send_descriptor(handle, copy)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._selector.close()
        if self._model is not None:
            self._model.close()

    def kill(self) -> None:
        """End every worker now."""
        for handle in self._handles:
            handle.process.kill()
        for handle in self._handles:
            handle.process.join(5)
            handle.channel.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [h.process.pid for h in self._handles if h.process.pid is not None]

    def wait_ready(self, progress: Callable[[int, int], None]) -> None:
        """Wait until each worker has its engine, then give all of them memory for results."""
        ready: dict[int, tuple[Any, ...]] = {}
        while len(ready) < len(self._handles):
            for handle, message in self._messages("loading the engine"):
                ready[handle.index] = message
            progress(len(ready), len(self._handles))
        _, self.best_batch, self.engine_name, _, _ = ready[0]
        if self._model is not None:
            self.placement = self._model.facts([ready[index][4] for index in sorted(ready)])
            self._model.close()
        most_pairs = max(batch_pairs(self.best_batch), self._longest)
        slots = len(self._handles) * BATCHES_IN_FLIGHT
        memory = SharedMemory(slots * most_pairs * 8)
        self._results = memory.array(np.float32, 0, (slots, most_pairs, 2))
        for handle in self._handles:
            self._send(handle, "results", handle.index * BATCHES_IN_FLIGHT, slots, most_pairs)
            self._send_descriptor(handle, memory.descriptor)
        memory.close()

    def attach(self, query_set: QuerySet) -> None:
        """Have every worker map the query set."""
        for handle in self._handles:
            self._send(handle, "attach", query_set.pairs)
            self._send_descriptor(handle, query_set.memory.descriptor)
        self._await_all("mapping the query set")

    def detach(self) -> None:
        """Have every worker release the query set."""
        for handle in self._handles:
            self._send(handle, "detach")
        self._await_all("releasing the query set")

    def check_alive(self) -> None:
        """WorkerError if a worker has ended; for long waits without other calls of the pool."""
        self._tick()
        for handle in self._handles:
            if not handle.process.is_alive():
                self._ended(handle, "waiting for work")

    def run(
        self,
        batches: Iterable[Batch],
        done: Callable[[Batch, Array], None],
    ) -> RunTotals:
        """Infer every batch; `done` gets (prediction, label), float32 [pairs, 2], for its call."""
        todo, began = iter(batches), time.perf_counter()
        totals = RunTotals([[] for _ in self._handles])
        # Breadth first: the first batches must not all go to the first worker.
        for _ in range(BATCHES_IN_FLIGHT):
            for handle in self._handles:
                self._give_next(handle, todo)
        while any(handle.held for handle in self._handles):
            for handle, message in self._messages("inferring"):
                _, number, *told = message
                figures = Done(*told)
                batch, slot = handle.held.pop(number)
                results = self._results[handle.index * BATCHES_IN_FLIGHT + slot]
                done(batch, results[: figures.pairs])
                handle.slots.append(slot)
                self._give_next(handle, todo)
                totals.done[handle.index].append(figures)
        totals.seconds = time.perf_counter() - began
        return totals

    def _give_next(self, handle: Handle, todo: Iterator[Batch]) -> None:
        batch = next(todo, None)
        if batch is not None:
            self._give(handle, batch)

    def _give(self, handle: Handle, batch: Batch) -> None:
        slot = handle.slots.pop()
        handle.held[batch.number] = (batch, slot)
        self._send(handle, "batch", batch.number, slot, batch.spans.tobytes())

    def _send(self, handle: Handle, *message: Any) -> None:
        try:
            handle.channel.send(*message)
        except OSError:
            self._ended(handle, "taking work")

    def _send_descriptor(self, handle: Handle, descriptor: int) -> None:
        try:
            send_handle(handle.channel, descriptor, handle.process.pid)
        except OSError:
            self._ended(handle, "taking memory")

    def _await_all(self, doing: str) -> None:
        waiting = len(self._handles)
        while waiting:
            waiting -= len(self._messages(doing))

    def _messages(
        self, doing: str, patience: float | None = None
    ) -> list[tuple[Handle, tuple[Any, ...]]]:
        """Messages that come within `patience` seconds; WorkerError if a worker failed or ended."""
        got: list[tuple[Handle, tuple[Any, ...]]] = []
        self._tick()
        for key, _ in self._selector.select(POLL_SECONDS if patience is None else patience):
            if callable(key.data):
                key.data()  # Not a worker's message: a wake-up that a subclass has registered.
                continue
            handle: Handle = key.data
            if key.fileobj is not handle.channel:
                if not handle.channel.waiting():
                    self._ended(handle, doing)
                continue  # Its last messages are read first.
            try:
                message = handle.channel.receive()
            except (EOFError, OSError):
                self._ended(handle, doing)
            if message[0] == "error":
                self._failed(handle, doing, message[1], message[2])
            got.append((handle, message))
        return got

    def _where(self, handle: Handle, doing: str) -> str:
        if not handle.held:
            return f"while {doing}"
        batch, _ = next(iter(handle.held.values()))
        return f"in batch {batch.number} ({len(batch.spans)} samples, {batch.pairs} pairs)"

    def _failed(self, handle: Handle, doing: str, text: str, trace: str) -> NoReturn:
        LOG.error("%s:\n%s", handle, trace)
        where = self._where(handle, doing)
        raise WorkerError(f"{handle} failed {where}", text, "The traceback is in the log")

    def _ended(self, handle: Handle, doing: str) -> NoReturn:
        with suppress(EOFError, OSError):
            while handle.channel.waiting():
                message = handle.channel.receive()
                if message[0] == "error":
                    self._failed(handle, doing, message[1], message[2])
        time.sleep(GRACE_SECONDS)
        handle.process.join(5)
        code = handle.process.exitcode
        if code is not None and code < 0:
            cause = f"it was ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                cause += " (the kernel does that when memory runs out)"
        else:
            cause = f"it exited with code {code}"
        raise WorkerError(
            f"{handle} died {self._where(handle, doing)}",
            cause,
            "Look for lack of memory in the host's kernel log, then run again",
        )

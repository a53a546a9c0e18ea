"""Loads the model file where workers read it: copies in shared memory, or the page cache."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dlrm_bench.frame.errors import StageError
from dlrm_bench.memory.placement import Placement, decide, describe, mapped
from dlrm_bench.memory.resident import HUGE_PAGE, MemoryRefused, ResidentFile, gives_huge_pages
from dlrm_bench.memory.topology import Topology, read_topology

LOG = logging.getLogger("dlrm_bench")
#: Environment variables that only measurements set: TABLES to MAPPED, which makes no copies;
#: WORKERS to CORES, which starts one worker on each physical core.
TABLES, MAPPED = "DLRM_TEST_TABLES", "mapped"
WORKERS, CORES = "DLRM_TEST_WORKERS", "cores"
READ_BYTES = 16 << 20
#: Bytes per call for huge pages; each call waits for every CPU of the machine, so not too few.
PART_BYTES = 32 * HUGE_PAGE
THREADS_A_NODE = 4
POLL_SECONDS = 0.5
_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
_MPOL_BIND = 2

Progress = Callable[[int, int], None]


class PlacedModel:
    """Copies of the model file, if any, and which worker uses which copy."""

    def __init__(self, path: Path, topology: Topology, placement: Placement) -> None:
        self.path, self.placement = path, placement
        self._topology, self._size = topology, path.stat().st_size
        self._copies: list[ResidentFile] = []
        self._bytes_by_node: list[dict[str, int]] = []
        self._refused = ""

    def load(self, progress: Progress, tick: Callable[[], None]) -> None:
        """Fill the copies, or read the file into the page cache; `tick` may raise to end it.

        `progress` gets bytes done and bytes in all.
        """
        if self.placement.copies:
            self._fill(progress, tick)
        else:
            self._read(progress, tick)

    def descriptor(self, cpu: int) -> int | None:
        """Descriptor of the copy that a worker on this CPU maps; None: the worker maps the file."""
        if not self._copies:
            return None
        worker = next(one for one in self.placement.cpus if one.number == cpu)
        return self._copies[self.placement.copy_of(worker)].descriptor

    def close(self) -> None:
        """Release the copies; workers that have mapped them keep them."""
        for copy in self._copies:
            copy.unmap()
            copy.close()
        self._copies = []

    def facts(self, huge_page_bytes: list[int]) -> dict[str, Any]:
        """Facts for stage.json; `huge_page_bytes`: bytes of the model in huge pages, by worker."""
        return describe(
            self.placement,
            [node.number for node in self._topology.nodes],
            self._size,
            self._bytes_by_node,
            huge_page_bytes,
            self._refused,
        )

    def _read(self, progress: Progress, tick: Callable[[], None]) -> None:
        buffer, done = bytearray(READ_BYTES), 0
        with self.path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                done += count
                progress(done, self._size)
                tick()

    def _fill(self, progress: Progress, tick: Callable[[], None]) -> None:
        total, done = self._size * len(self.placement.copies), 0
        with self.path.open("rb", buffering=0) as file, ExitStack() as stack:
            # Registered first, so it runs last: no thread writes any more when the memory goes.
            stack.callback(self._close_unless_full)
            nodes = {node for copy in self.placement.copies for node in copy}
            threads = {node: self._threads(node, stack) for node in nodes}
            running: set[Future[int]] = set()
            for copied in self.placement.copies:
                copy = ResidentFile(self._size)
                self._copies.append(copy)
                for number, first in enumerate(range(0, self._size, PART_BYTES)):
                    on = threads[copied[number % len(copied)]]
                    running.add(on.submit(self._fill_part, copy, file.fileno(), first))
            while running:
                ended, running = wait(running, POLL_SECONDS)
                done += sum(part.result() for part in ended)
                progress(done, total)
                tick()
            self._note()

    def _close_unless_full(self) -> None:
        if not self._bytes_by_node:
            self.close()

    def _note(self) -> None:
        """Read back on which nodes the copies really lie."""
        for nodes, copy in zip(self.placement.copies, self._copies, strict=True):
            copy.populate()
            self._bytes_by_node.append(copy.bytes_by_node())
            LOG.info("copy of the model for nodes %s: %s", nodes, self._bytes_by_node[-1])

    def _threads(self, node: int, stack: ExitStack) -> ThreadPoolExecutor:
        """Threads whose memory comes from the node."""
        homes = self.placement.homes
        near = [cpu.number for cpu in self.placement.cpus if homes[cpu.node] == node]
        executor = ThreadPoolExecutor(
            min(THREADS_A_NODE, len(near)), initializer=self._settle, initargs=(node, near)
        )
        stack.callback(executor.shutdown, cancel_futures=True)
        return executor

    def _settle(self, node: int, cpus: Collection[int]) -> None:
        os.sched_setaffinity(0, cpus)  # For this thread alone.
        why = bind_memory(node)
        if why:
            # While the node has room, its pages are still used: its own CPUs touch them first.
            self._refused = why

    def _fill_part(self, copy: ResidentFile, file: int, first: int) -> int:
        last = min(first + PART_BYTES, self._size)
        copy.make_huge(first, last)
        at = first
        while at < last:
            count = os.preadv(file, [copy.bytes[at:last]], at)
            if not count:
                why = f"it ended after {at} bytes, it had {self._size} when the stage began"
                raise StageError(f"cannot load '{self.path}'", why, "Run again")
            at += count
        return last - first


def place(
    path: Path,
    cpus: Collection[int],
    resident: bool,
    other_bytes: int,
    progress: Progress,
    tick: Callable[[], None] = lambda: None,
) -> PlacedModel:
    """Decide where the model lies and load it there.

    `resident`: the model may be copied; `other_bytes`: as for placement.decide(); `progress` and
    `tick`: as for PlacedModel.load().
    """
    topology, one_a_core = read_topology(cpus), os.environ.get(WORKERS) == CORES
    size = path.stat().st_size
    if not resident:
        placement = mapped(topology, "a model of this precision is never copied", one_a_core)
    elif os.environ.get(TABLES) == MAPPED:
        placement = mapped(topology, f"{TABLES} says so", one_a_core)
    else:
        try:
            placement = decide(topology, size, other_bytes, gives_huge_pages(), one_a_core)
            return _loaded(PlacedModel(path, topology, placement), progress, tick)
        except MemoryRefused as error:
            # For example a container's limit is below the host's memory: slower, but not wrong.
            placement = mapped(topology, f"a copy was refused: {error.strerror}", one_a_core)
    return _loaded(PlacedModel(path, topology, placement), progress, tick)


def _loaded(model: PlacedModel, progress: Progress, tick: Callable[[], None]) -> PlacedModel:
    LOG.info("model: %s (%s)", model.placement.where, model.placement.why)
    model.load(progress, tick)
    return model


def bind_memory(node: int) -> str:
    """Take this thread's new pages from the node alone; returns why the kernel refused, or ''."""
    number = _SET_MEMPOLICY.get(platform.machine())
    if number is None:
        return f"unknown system call on {platform.machine()}"
    bits = 8 * ctypes.sizeof(ctypes.c_ulong)
    mask = (ctypes.c_ulong * (node // bits + 1))()
    mask[node // bits] = 1 << node % bits
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel subtracts one from this number of bits.
    refused = libc.syscall(number, _MPOL_BIND, mask, ctypes.c_ulong(bits * len(mask) + 1))
    return os.strerror(ctypes.get_errno()) if refused else ""

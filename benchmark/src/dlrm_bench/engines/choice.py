"""The engines a worker runs: one thread each, weights mapped so that processes share pages."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from dlrm_bench.engines.bf16 import Bf16Model
from dlrm_bench.engines.kernel import KernelModel, instruction_sets
from dlrm_bench.engines.openvino import BATCH, OpenVinoEngine, why_not
from dlrm_bench.frame.errors import StageError
from dlrm_bench.int8.model import MAX_ROWS, PAD, Int8Model, exact_int8_product, load_int8
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, Fp32Model, Weights
from dlrm_bench.weights.dump import load_dump

Array = np.ndarray[Any, Any]
FP32_MAX_ROWS = 512
#: Pairs the kernel works on at a time: more read the weights less often, fewer keep their
#: activations in the L2 cache. Ten tiles of AVX512-VNNI.
KERNEL_BATCH = 120
LOG = logging.getLogger("dlrm_bench")
PYTORCH, PORTABLE, OPENVINO = "pytorch", "portable", "openvino"


def force(precision: str) -> str:
    """The variable that names a precision's engine; only tests and benchmarks set it.

    PYTORCH; of fp32 and bf16 also OPENVINO, of int8 the instruction set whose kernel runs.
    """
    return f"DLRM_TEST_{precision.upper()}_ENGINE"


class Engine(Protocol):
    """Scores any number of pairs; it works on `best_batch` of them at a time."""

    best_batch: int

    def forward(self, dense: Array, ids: Array) -> Array:
        """Probabilities float32 [pairs] of dense float32 [pairs, 13] and ids int32 [pairs, 214]."""


class Fp32Engine:
    """PyTorch's fp32 forward."""

    _model_of: Callable[[Weights], Fp32Model | Bf16Model] = Fp32Model

    def __init__(
        self, path: Path, row_counts: Sequence[int], best_batch: int = FP32_MAX_ROWS
    ) -> None:
        self.best_batch = best_batch
        self._model = self._model_of(load_dump(path, row_counts))

    def forward(self, dense: Array, ids: Array) -> Array:
        """As Engine's."""
        scores = np.empty(len(dense), np.float32)
        for at in range(0, len(dense), self.best_batch):
            some = slice(at, at + self.best_batch)
            count = len(dense[some])
            # Padded to few shapes: PyTorch builds kernels for each new one.
            rows = -(-count // PAD) * PAD
            x, chosen = (
                np.zeros((rows, DENSE_FEATURES), np.float32),
                np.zeros((rows, IDS), np.int32),
            )
            x[:count], chosen[:count] = dense[some], ids[some]
            result = self._model.forward(torch.from_numpy(x), torch.from_numpy(chosen))
            scores[some] = result.numpy()[:count]
        return scores


class Bf16Engine(Fp32Engine):
    """The bfloat16 forward of bf16.py; correct but slow without the CPU's BF16 instructions."""

    _model_of = Bf16Model


class Int8Engine:
    """The int8 forward of int8/model.py, by PyTorch's operations."""

    def __init__(self, path: Path, row_counts: Sequence[int], best_batch: int = MAX_ROWS) -> None:
        self.best_batch = best_batch
        content = load_int8(path, row_counts)
        if not exact_int8_product():
            raise StageError(
                f"cannot run '{path.name}' on this CPU",
                "its int8 matrix product saturates (no VNNI, AMX or I8MM)",
                "Use precision fp32 here, or another machine",
            )
        self._model = Int8Model(content, best_batch)

    def forward(self, dense: Array, ids: Array) -> Array:
        """As Engine's."""
        scores: Array = self._model.forward(_tensor(dense), _tensor(ids)).numpy()
        return scores


class Int8KernelEngine:
    """The same int8 forward as one fused kernel of one instruction set: kernel.py."""

    def __init__(
        self,
        path: Path,
        row_counts: Sequence[int],
        instruction_set: str,
        best_batch: int = KERNEL_BATCH,
    ) -> None:
        self.name, self.best_batch = f"{type(self).__name__} {instruction_set}", best_batch
        self._model = KernelModel(load_int8(path, row_counts), instruction_set, best_batch)

    def forward(self, dense: Array, ids: Array) -> Array:
        """As Engine's."""
        return self._model.forward(dense, ids)


def _int8_engine(path: Path, row_counts: Sequence[int]) -> Engine:
    """The kernel where it has an instruction set of this CPU, else PyTorch's operations."""
    chosen = os.environ.get(force("int8"), "") or _best_int8()
    if chosen == PYTORCH:
        return Int8Engine(path, row_counts)
    return Int8KernelEngine(path, row_counts, chosen)


def _best_int8() -> str:
    best = instruction_sets()[0]
    if best == PORTABLE:
        LOG.warning("int8 by PyTorch: the kernel has no instruction set of this CPU (VNNI, I8MM)")
        return PYTORCH
    if torch.cpu._is_amx_tile_supported():
        # oneDNN's AMX product has eight times VNNI's peak; which is faster here is unmeasured.
        LOG.info("int8 by PyTorch: this CPU has AMX, which the kernel does not use")
        return PYTORCH
    return best


def _float_engine(
    precision: str, by_pytorch: type[Fp32Engine], path: Path, row_counts: Sequence[int]
) -> Engine:
    """OpenVINO where it is tried and computes in this precision, else PyTorch's operations."""
    chosen = os.environ.get(force(precision), "") or _best_float(precision)
    if chosen not in (OPENVINO, PYTORCH):
        raise StageError(
            f"there is no {precision} engine '{chosen}'",
            f"{force(precision)} names it",
            f"Set {OPENVINO} or {PYTORCH} there, or nothing",
        )
    if chosen == OPENVINO:
        return OpenVinoEngine(path, row_counts, precision)
    return by_pytorch(path, row_counts)


def _best_float(precision: str) -> str:
    why = why_not(precision)
    if why:
        LOG.warning("%s by PyTorch, not OpenVINO: %s", precision, why)
    return PYTORCH if why else OPENVINO


_ENGINES: dict[str, Callable[[Path, Sequence[int]], Engine]] = {
    "fp32": functools.partial(_float_engine, "fp32", Fp32Engine),
    "bf16": functools.partial(_float_engine, "bf16", Bf16Engine),
    "int8": _int8_engine,
}


class Choice(NamedTuple):
    """What stage tune decides: a candidate's engine, and how many pairs a call brings."""

    engine: str
    batch: int


class Candidate(NamedTuple):
    """An engine this CPU can run, its maker (path, row counts, best_batch=) and batches to try."""

    engine: str
    make: Callable[..., Engine]
    batches: tuple[int, ...]


def candidates(precision: str) -> list[Candidate]:
    """What stage tune may choose from; first the engine and the batch that run untuned."""
    best = _best_int8() if precision == "int8" else _best_float(precision)
    untuned = os.environ.get(force(precision), "") or best
    return sorted(_runnable(precision), key=lambda candidate: candidate.engine != untuned)


def _runnable(precision: str) -> list[Candidate]:
    """Another engine is one more entry; its default batch comes first."""
    found = []
    if precision != "int8":
        if not why_not(precision):
            by_openvino = functools.partial(OpenVinoEngine, precision=precision)
            found.append(Candidate(OPENVINO, by_openvino, (BATCH, 2048)))
        by_pytorch = {"fp32": Fp32Engine, "bf16": Bf16Engine}[precision]
        return [*found, Candidate(PYTORCH, by_pytorch, (FP32_MAX_ROWS, 256, 1024))]
    for name in instruction_sets():
        if name != PORTABLE:
            by_kernel = functools.partial(Int8KernelEngine, instruction_set=name)
            batches = (KERNEL_BATCH, 2 * KERNEL_BATCH, 4 * KERNEL_BATCH)
            found.append(Candidate(name, by_kernel, batches))
    if exact_int8_product():
        found.append(Candidate(PYTORCH, Int8Engine, (MAX_ROWS, 512, 1024)))
    return found


def load_engine(
    precision: str, path: Path, row_counts: Sequence[int], choice: Choice | None = None
) -> Engine:
    """The engine of a precision, for the calling thread alone; without a choice the default."""
    torch.set_num_threads(1)
    if choice is None:
        return _ENGINES[precision](path, row_counts)
    offered = {candidate.engine: candidate for candidate in _runnable(precision)}
    if choice.engine not in offered:
        raise StageError(
            f"the tuned {precision} engine '{choice.engine}' cannot be used",
            f"this CPU and image run {', '.join(offered) or 'none'}",
            "Run again with -e force_stages=tune",
        )
    return offered[choice.engine].make(path, row_counts, best_batch=choice.batch)


def _tensor(values: Array) -> torch.Tensor:
    """Without a copy where torch lets it: it does not take read-only arrays."""
    return torch.from_numpy(values if values.flags.writeable else values.copy())

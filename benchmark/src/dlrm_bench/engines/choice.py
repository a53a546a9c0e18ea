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
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.int8.model import MAX_ROWS, PAD, Int8Model, exact_int8_product, load_int8
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, Fp32Model, Weights
from dlrm_bench.weights.dump import load_dump

Array = np.ndarray[Any, Any]
FP32_MAX_ROWS = 512
#: Pairs the kernel works on at a time: the weights are read once for as many, and their activations
#: must not leave the L2 cache too often. Ten tiles of AVX512-VNNI.
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
            # Few shapes: each new one costs the building of its kernels.
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
    """The bfloat16 forward of bf16.py; without the CPU's BF16 instructions right, but slow."""

    _model_of = Bf16Model


class Int8Engine:
    """The int8 forward of int8.py, by PyTorch's operations."""

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


class Choice(NamedTuple):
    """What stage tune decides: a candidate's engine, and how many pairs a call brings."""

    engine: str
    batch: int


class Candidate(NamedTuple):
    """An engine, its maker (path, row counts, best_batch=) and batches to try, the default first.

    `why_not`: why this CPU and image do not run it unless it is forced; `why_not_untuned`: why
    only stage tune may choose it. Empty: it may run.
    """

    engine: str
    make: Callable[..., Engine]
    batches: tuple[int, ...]
    why_not: str = ""
    why_not_untuned: str = ""


def _openvino(precision: str) -> list[Candidate]:
    make = functools.partial(OpenVinoEngine, precision=precision)
    return [Candidate(OPENVINO, make, (BATCH, 2048), why_not(precision))]


def _float_pytorch(make: type[Fp32Engine]) -> list[Candidate]:
    return [Candidate(PYTORCH, make, (FP32_MAX_ROWS, 256, 1024))]


def _int8_kernel() -> list[Candidate]:
    """One for each instruction set the kernel has for this CPU, the fastest first."""
    amx = "this CPU has AMX, which the kernel does not use" if _has_amx() else ""
    sets = instruction_sets()
    lacking = "the kernel has no instruction set of this CPU (VNNI, I8MM)"
    portable = lacking if sets[0] == PORTABLE else "it is for tests alone"
    return [
        Candidate(
            name,
            functools.partial(Int8KernelEngine, instruction_set=name),
            (KERNEL_BATCH, 2 * KERNEL_BATCH, 4 * KERNEL_BATCH),
            portable if name == PORTABLE else "",
            amx,
        )
        for name in sets
    ]


def _has_amx() -> bool:
    """oneDNN's AMX product has eight times VNNI's peak; which is faster there is unmeasured."""
    return bool(torch.cpu._is_amx_tile_supported())


def _int8_pytorch() -> list[Candidate]:
    saturates = "" if exact_int8_product() else "its int8 matrix product saturates here"
    return [Candidate(PYTORCH, Int8Engine, (MAX_ROWS, 512, 1024), saturates)]


#: By the names that precisions.yml gives them. Another engine is one more entry.
ENGINES: dict[str, Callable[[], list[Candidate]]] = {
    "fp32_openvino": functools.partial(_openvino, "fp32"),
    "fp32_pytorch": functools.partial(_float_pytorch, Fp32Engine),
    "bf16_openvino": functools.partial(_openvino, "bf16"),
    "bf16_pytorch": functools.partial(_float_pytorch, Bf16Engine),
    "int8_kernel": _int8_kernel,
    "int8_pytorch": _int8_pytorch,
}


def _known(precision: str) -> list[Candidate]:
    """All of a precision's engines, by the table's preference, also those that cannot run here."""
    return [one for name in PRECISIONS[precision].engines for one in ENGINES[name]()]


def _untuned(precision: str) -> Candidate:
    """The engine of a request without tune; without one that may run the last, which says why."""
    known, forced = _known(precision), os.environ.get(force(precision), "")
    if forced:
        named = {candidate.engine: candidate for candidate in known}
        if forced not in named:
            raise StageError(
                f"there is no {precision} engine '{forced}'",
                f"{force(precision)} names it",
                f"Set {' or '.join(named)} there, or nothing",
            )
        return named[forced]
    for candidate in known[:-1]:
        why = candidate.why_not or candidate.why_not_untuned
        if not why:
            return candidate
        LOG.warning("%s is not computed by %s: %s", precision, candidate.engine, why)
    return known[-1]


def candidates(precision: str) -> list[Candidate]:
    """What stage tune may choose from; first the engine and the batch that run untuned."""
    untuned = _untuned(precision).engine
    return sorted(_runnable(precision), key=lambda candidate: candidate.engine != untuned)


def _runnable(precision: str) -> list[Candidate]:
    return [candidate for candidate in _known(precision) if not candidate.why_not]


def load_engine(
    precision: str, path: Path, row_counts: Sequence[int], choice: Choice | None = None
) -> Engine:
    """The engine of a precision, for the calling thread alone; without a choice the default."""
    torch.set_num_threads(1)
    if choice is None:
        return _untuned(precision).make(path, row_counts)
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

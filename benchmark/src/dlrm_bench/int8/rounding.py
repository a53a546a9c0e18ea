"""Rounds weights to int8 so that a layer's output, not each weight, is as near as possible.

GPTQ (Frantar and others, arXiv 2210.17323) rounds columns one after the other. The columns still
to come compensate each error, weighted by the inputs' second moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Share of the diagonal's mean that is added to the diagonal, so that few inputs do not mislead.
DAMPING = 0.01
BLOCK = 128


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for many small products: more would wait for each other and sum in any order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def row_scales(weight: torch.Tensor) -> torch.Tensor:
    """One scale for each output channel [out]: the largest weight gets code 127."""
    return weight.abs().amax(1).clamp_(min=1e-20) / 127


def nearest(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The nearest code of each weight: int8 [out, in]."""
    return torch.round(weight / scale[:, None]).clamp_(-127, 127).to(torch.int8)


def with_feedback(weight: torch.Tensor, scale: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """Codes int8 [out, in]; `moments` [in, in]: mean of x x^T over the layer's inputs x."""
    order = torch.argsort(moments.diagonal(), descending=True, stable=True)
    moments = moments[order][:, order]
    moments.diagonal().add_(DAMPING * moments.diagonal().mean().clamp(min=1e-20))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    upper = torch.linalg.cholesky(inverse, upper=True)
    left = weight[:, order].t().contiguous()  # Columns are rows here: each is read as one piece.
    codes = torch.empty(left.shape, dtype=torch.int8)
    for start in range(0, len(left), BLOCK):
        stop = min(start + BLOCK, len(left))
        errors = torch.empty(stop - start, left.shape[1])
        for column in range(start, stop):
            code = torch.round(left[column] / scale).clamp_(-127, 127)
            codes[column] = code.to(torch.int8)
            error = (left[column] - code * scale) / upper[column, column]
            left[column:stop] -= torch.outer(upper[column, column:stop], error)
            errors[column - start] = error
        left[stop:] -= upper[start:stop, stop:].t() @ errors
    found = torch.empty_like(codes)
    found[order] = codes
    return found.t().contiguous()

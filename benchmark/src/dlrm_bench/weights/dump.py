"""The fp32 dump: a plain state dict of 51 tensors, named and read as by the published recipe."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import unreadable
from dlrm_bench.network.dlrm import check_shapes

DUMP_NAME = "dlrm-multihot-pytorch.pt"
#: Inside mapped_once(): path -> content of each file loaded so far.
_mapped: dict[Path, dict[str, Any]] | None = None


@contextmanager
def mapped_once() -> Iterator[None]:
    """Map each file once inside this context, however many engines load it.

    Each mapping of a large file costs every worker page tables of its own.
    """
    global _mapped
    _mapped = {}
    try:
        yield
    finally:
        _mapped = None


def load_plain(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """A file's dict, memory-mapped; no code in it runs. StageError has `what` and `remedy`."""
    if _mapped is not None and path in _mapped:
        return dict(_mapped[path])
    why = unreadable(path)
    if why:
        raise StageError(what, why, remedy)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        why = "it is a pickle that holds code, as other implementations write; it is never loaded"
        raise StageError(what, why, remedy) from error
    # A damaged file makes torch.load raise almost anything.
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StageError(what, f"it is not a whole PyTorch file ({first})", remedy) from error
    if not isinstance(content, dict):
        raise StageError(what, f"it holds a {type(content).__name__}, wanted a dict", remedy)
    if _mapped is not None:
        _mapped[path] = content
    return content


def load_dump(path: Path, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """The fp32 weights, checked against the table sizes of this request."""
    what = f"cannot use '{path}' as fp32 weights"
    remedy = "Run again with -e force_stages=dump"
    content = load_plain(path, what, remedy)
    if "format" in content:
        raise StageError(what, f"it is a file of format {content['format']!r}", remedy)
    foreign = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
    problem = f"its '{foreign[0]}' is not a tensor" if foreign else check_shapes(content, rows)
    if not problem:
        wrong = [name for name, value in content.items() if value.dtype != torch.float32]
        problem = f"tensor '{wrong[0]}' is not fp32" if wrong else ""
    if problem:
        raise StageError(what, problem, remedy)
    return content

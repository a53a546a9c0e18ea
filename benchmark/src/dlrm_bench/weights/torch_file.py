"""Writes a file torch.load reads, tensor by tensor and block by block, in constant memory.

Same layout as torch.save's (a stored zip of data.pkl and one record a tensor, 64-byte aligned), so
it can be memory-mapped; unlike torch.save it needs no whole tensor in memory, and equal input
gives equal bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dlrm_bench.frame.hashed_file import HashedFile

ALIGNMENT = 64
_STORAGES = {
    torch.float32: torch.FloatStorage,
    torch.int8: torch.CharStorage,
    torch.uint8: torch.ByteStorage,
    torch.int32: torch.IntStorage,
}


@dataclass(frozen=True)
class StreamedTensor:
    """A tensor still to be written: `blocks` yields its rows' contiguous bytes in order."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    blocks: Iterable[Any]

    @classmethod
    def of(cls, tensor: torch.Tensor) -> StreamedTensor:
        """A tensor that is in memory."""
        whole = tensor.detach().contiguous()
        flat = whole.reshape(-1)
        return cls(whole.dtype, tuple(whole.shape), [flat.view(torch.uint8).numpy()])

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int


class _Placeholder:
    """Pickles as the call torch.load makes to rebuild a tensor."""

    def __init__(self, storage: _Storage, shape: tuple[int, ...]) -> None:
        self._storage, self._shape = storage, shape

    def __reduce__(self) -> tuple[Any, ...]:
        strides = []
        step = 1
        for size in reversed(self._shape):
            strides.append(step)
            step *= size
        rebuild = getattr(torch._utils, "_rebuild_tensor_v2")  # noqa: B009 - no part of torch's typed surface
        stride = tuple(reversed(strides))
        return rebuild, (self._storage, 0, self._shape, stride, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            return ("storage", _STORAGES[obj.dtype], obj.key, "cpu", obj.numel)
        return None


def write_torch_file(output: HashedFile, content: Mapping[str, Any]) -> None:
    """Write a dict; its StreamedTensor values load as tensors, the rest as plain values."""
    document: dict[str, Any] = {}
    streams: list[StreamedTensor] = []
    for name, value in content.items():
        if isinstance(value, StreamedTensor):
            storage = _Storage(str(len(streams)), value.dtype, value.numel)
            document[name] = _Placeholder(storage, value.shape)
            streams.append(value)
        else:
            document[name] = value
    pickled = io.BytesIO()
    _Pickler(pickled, protocol=2).dump(document)
    # HashedFile cannot seek: zipfile then puts lengths behind the data, which torch.load accepts.
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        _record(archive, output, "data.pkl", [pickled.getvalue()])
        _record(archive, output, "byteorder", [b"little"])
        for key, stream in enumerate(streams):
            _record(archive, output, f"data/{key}", stream.blocks)
        _record(archive, output, "version", [b"3\n"])


def _record(archive: zipfile.ZipFile, output: HashedFile, name: str, blocks: Iterable[Any]) -> None:
    info = zipfile.ZipInfo(f"archive/{name}")
    # Local header 30 bytes, the name, zip64's 20 bytes, then this padding's own 4-byte head.
    start = output.tell() + 30 + len(info.filename) + 20 + 4
    padding = -start % ALIGNMENT
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    with archive.open(info, "w", force_zip64=True) as record:
        for block in blocks:
            record.write(block)

"""Copies a file into shared memory with huge pages, and moves tensors onto the copy.

In 4 KiB pages, a random row of a table costs a TLB miss as well as a cache miss. Huge pages come
from MADV_COLLAPSE (Linux 6.1), which needs no setting of the host; the mapping must begin at a
multiple of their size. How many were obtained is read back, never assumed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dlrm_bench.frame.errors import StageError

#: Bytes of a huge page. Kernels with larger ones (arm64 with 64 KiB pages: 512 MiB) give none.
HUGE_PAGE = 2 << 20
_MAP_FIXED, _MAP_NORESERVE = 0x10, 0x4000
_MADV_HUGEPAGE, _MADV_POPULATE_READ, _MADV_COLLAPSE = 14, 22, 25
_HUGE = ("ShmemPmdMapped", "FilePmdMapped", "AnonHugePages")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class MemoryRefused(OSError):
    """The kernel refused the memory."""


class ResidentFile:
    """Anonymous shared memory for `size` bytes; another process maps it by its descriptor."""

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        """With a descriptor it is mapped read-only; MemoryRefused when the kernel refuses."""
        self.size = size
        whole = -(-size // HUGE_PAGE) * HUGE_PAGE
        self._reserved = whole + HUGE_PAGE
        owner = descriptor is None
        self.descriptor = _memory(whole) if descriptor is None else descriptor
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._room = _mmap(None, self._reserved, 0, flags, -1)
        self.address = -(-self._room // HUGE_PAGE) * HUGE_PAGE
        protection = mmap.PROT_READ | mmap.PROT_WRITE if owner else mmap.PROT_READ
        flags = mmap.MAP_SHARED | _MAP_FIXED
        _mmap(self.address, whole, protection, flags, self.descriptor)
        _libc.madvise(self.address, whole, _MADV_HUGEPAGE)
        self.bytes = memoryview((ctypes.c_ubyte * whole).from_address(self.address)).cast("B")

    def make_huge(self, first: int, last: int) -> None:
        """Ask for huge pages under these bytes, before they are filled; the kernel may give none.

        `first` is a multiple of HUGE_PAGE.
        """
        # The kernel collapses no empty page; the first 4 KiB decide on the huge page's node.
        for at in range(first, last, HUGE_PAGE):
            self.bytes[at] = 0
        length = -(-(last - first) // HUGE_PAGE) * HUGE_PAGE
        _libc.madvise(self.address + first, length, _MADV_COLLAPSE)

    def populate(self) -> None:
        """Map every page now (Linux 5.14), so that the timed part takes no page faults."""
        _libc.madvise(self.address, len(self.bytes), _MADV_POPULATE_READ)

    def tensor(self, offset: int, like: torch.Tensor) -> torch.Tensor:
        """View of the bytes at an offset with the shape and type of a contiguous tensor."""
        if offset < 0 or offset + like.nbytes > self.size or not like.is_contiguous():
            what = f"cannot map a tensor of {like.nbytes} bytes at offset {offset}"
            raise ValueError(f"{what}: it must be contiguous and end within {self.size} bytes")
        flat = torch.frombuffer(self.bytes, dtype=like.dtype, count=like.numel(), offset=offset)
        return flat.view(like.shape)

    def huge_page_bytes(self) -> int:
        """Bytes of it that huge pages map in this process."""
        return huge_page_bytes(lambda start, _name: start == self.address)

    def bytes_by_node(self) -> dict[str, int]:
        """Node -> bytes of its pages there, as mapped here; empty if the kernel has no NUMA."""
        try:
            lines = Path("/proc/self/numa_maps").read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        line = next((one for one in lines if int(one.split()[0], 16) == self.address), "")
        page = 1024 * int((re.search(r"kernelpagesize_kB=(\d+)", line) or [0, 4])[1])
        return {node: page * int(count) for node, count in re.findall(r"\bN(\d+)=(\d+)", line)}

    def unmap(self) -> None:
        """Unmap the memory; no view of it may be used afterwards."""
        self.bytes.release()
        _libc.munmap(self._room, self._reserved)

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last mapping."""
        os.close(self.descriptor)


def gives_huge_pages() -> bool:
    """Whether this kernel gives shared memory huge pages; tries it with one."""
    one = ResidentFile(HUGE_PAGE)
    try:
        one.make_huge(0, HUGE_PAGE)
        return one.huge_page_bytes() == HUGE_PAGE
    finally:
        one.unmap()
        one.close()


def huge_page_bytes(chosen: Callable[[int, str], bool]) -> int:
    """Bytes that huge pages map here; `chosen` selects mappings by start and file name."""
    kib, counts = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        found = re.match(r"([0-9a-f]+)-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
        if found:
            counts = chosen(int(found[1], 16), found[2])
        elif counts and line.startswith(_HUGE):
            kib += int(line.split()[1])
    return 1024 * kib


class _Mapping(NamedTuple):
    start: int
    end: int
    offset: int  # of its first byte in the file


#: In a worker: the copy of the model file that tensors loaded from that file are moved onto.
_adopted: dict[Path, ResidentFile] = {}


def adopt(path: Path, copy: ResidentFile) -> None:
    """From now on this process uses the copy in place of the file's own pages."""
    _adopted[path] = copy


def adopt_shared(path: Path, descriptor: int) -> ResidentFile:
    """Map the copy another process filled, and adopt it; the descriptor is closed."""
    copy = ResidentFile(path.stat().st_size, descriptor)
    copy.close()
    adopt(path, copy)
    return copy


def rebased(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with its tensors moved onto the file's adopted copy; unchanged without a copy."""
    if path not in _adopted:
        return dict(content)
    mappings = _file_mappings()
    return {
        name: _moved(name, value, path, mappings) if isinstance(value, torch.Tensor) else value
        for name, value in content.items()
    }


def _moved(name: str, value: torch.Tensor, path: Path, mappings: list[_Mapping]) -> torch.Tensor:
    at = value.data_ptr()
    for start, end, offset in mappings:
        if start <= at < end:
            return _adopted[path].tensor(at - start + offset, value)
    raise StageError(
        f"the copy of '{path}' in memory cannot be used",
        f"tensor '{name}' is not mapped from the file",
        "Report this as a bug",
    )


def _file_mappings() -> list[_Mapping]:
    found = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, _, offset, _, inode, *_ = line.split()
        if inode != "0":
            start, _, end = addresses.partition("-")
            found.append(_Mapping(int(start, 16), int(end, 16), int(offset, 16)))
    return found


def _memory(size: int) -> int:
    try:
        descriptor = os.memfd_create("dlrm-model")
        os.ftruncate(descriptor, size)
    except OSError as error:
        what = f"cannot get {size} bytes of shared memory: {error}"
        raise MemoryRefused(error.errno, what) from error
    return descriptor


def _mmap(address: int | None, size: int, protection: int, flags: int, descriptor: int) -> int:
    got: int = _libc.mmap(address, size, protection, flags, descriptor, 0)
    if got == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        what = f"cannot map {size} bytes of memory: {os.strerror(number)}"
        raise MemoryRefused(number, what)
    return got

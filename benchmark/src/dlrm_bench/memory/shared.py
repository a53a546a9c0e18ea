"""Memory that worker processes share."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from dlrm_bench.network.arrays import Array


class SharedMemory:
    """Anonymous shared memory; another process maps it through the descriptor it is sent."""

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        owner = descriptor is None
        self.descriptor = os.memfd_create("dlrm-bench") if descriptor is None else descriptor
        if owner:
            os.ftruncate(self.descriptor, max(size, 1))
        self.size = max(size, 1)
        self._map = mmap.mmap(self.descriptor, self.size)

    def array(self, dtype: Any, offset: int, shape: tuple[int, ...]) -> Array:
        """View of a part; the memory lives as long as its last view."""
        count = int(np.prod(shape))
        flat = np.frombuffer(self._map, dtype=dtype, count=count, offset=offset)
        return flat.reshape(shape)

    def make_resident(self) -> None:
        """Map every page now, so that the timed part takes no page faults."""
        populate = getattr(mmap, "MADV_POPULATE_WRITE", 23)  # Linux 5.14
        try:
            self._map.madvise(populate)
        except OSError:
            self.array(np.uint8, 0, (self.size,))[:: mmap.PAGESIZE].sum()

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last mapping."""
        os.close(self.descriptor)

"""HashedFile hashes what it writes, for any size of block."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from dlrm_bench.frame import hashed_file
from dlrm_bench.frame.hashed_file import HASH_APART_BYTES, HashedFile


def test_a_buffer_may_be_reused_as_soon_as_it_is_written(tmp_path: Path) -> None:
    buffer = np.empty(HASH_APART_BYTES, np.uint8)
    with (tmp_path / "out").open("wb") as file:
        hashed = HashedFile(file)
        for number in range(50):
            buffer[:] = number
            hashed.write(buffer if number % 3 else buffer[:1000])
        hashed.write(b"end")
    content = (tmp_path / "out").read_bytes()
    assert hashed.bytes == len(content)
    assert hashed.hexdigest() == hashlib.sha256(content).hexdigest()


def test_begun_writing_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_file, "WRITE_BEHIND_BYTES", 3 * HASH_APART_BYTES)
    block = np.random.default_rng(1).bytes(HASH_APART_BYTES)
    with (tmp_path / "out").open("wb") as file:
        hashed = HashedFile(file)
        for _ in range(10):
            hashed.write(block)
            hashed.write(b"odd")
    assert (tmp_path / "out").read_bytes() == (block + b"odd") * 10


def test_a_failed_write_is_told_and_not_counted() -> None:
    class Full(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    hashed = HashedFile(Full())  # type: ignore[arg-type]
    with pytest.raises(OSError, match="No space left"):
        hashed.write(bytes(HASH_APART_BYTES))
    assert hashed.bytes == 0

"""What a stage's run() is given and what it must leave behind: StageContext.

The documents are those of docs/contracts; request.py reads, status.py and stage_runner.py write.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dlrm_bench.request import InputFile, Parameters, Request, Source, StageError
from dlrm_bench.status import StatusWriter

__all__ = [
    "HashedFile",
    "InputFile",
    "Parameters",
    "Request",
    "Source",
    "StageContext",
    "StageError",
    "StatusWriter",
]

BLOCK_BYTES = 4 << 20
#: Below it, handing over to a thread costs more than it saves.
HASH_APART_BYTES = 256 << 10
#: As often the kernel is told to begin writing, so that the sync at the end finds little left.
WRITE_BEHIND_BYTES = 32 << 20
_SYNC_FILE_RANGE_WRITE = 2
_LIBC = ctypes.CDLL(None)


class HashedFile:
    """A sequential binary file that knows its length and sha256 while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(1)
        self.bytes = self._begun = 0

    def write(self, data: Any) -> int:
        """Append bytes or any contiguous buffer; returns the number of bytes."""
        view = memoryview(data).cast("B")
        if view.nbytes < HASH_APART_BYTES:
            self._file.write(view)
            self._sha256.update(view)
        else:
            # Neither holds the interpreter's lock: both at once take as long as hashing alone.
            hashing = self._hasher.submit(self._sha256.update, view)
            try:
                self._file.write(view)
            finally:
                hashing.result()  # The caller may reuse the buffer.
        self.bytes += view.nbytes
        if self.bytes - self._begun >= WRITE_BEHIND_BYTES:
            self._begin_writing()
        return view.nbytes

    def _begin_writing(self) -> None:
        """Waits for nothing and promises nothing: the sync before the rename does."""
        start, size = self._begun, self.bytes - self._begun
        _LIBC.sync_file_range(
            self._file.fileno(),
            ctypes.c_int64(start),
            ctypes.c_int64(size),
            _SYNC_FILE_RANGE_WRITE,
        )
        self._begun = self.bytes

    def flush(self) -> None:
        """As a file's."""
        self._file.flush()

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def hexdigest(self) -> str:
        """sha256 of what was written."""
        return self._sha256.hexdigest()


def fsync_directory(path: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class StageContext:
    """Everything a stage's run() may touch."""

    def __init__(self, request: Request, output_dir: Path, status: StatusWriter) -> None:
        self.request = request
        self.output_dir = output_dir
        self.attempt_dir = output_dir / "attempts" / str(request.attempt)
        self.scratch_dir = self.attempt_dir / "scratch"
        self.status = status
        self.facts: dict[str, Any] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def inputs(self, stage: str) -> dict[str, Path]:
        """Name -> path of each file the request gives from that stage."""
        return {f.name: f.path for f in self.request.inputs if f.stage == stage}

    def input(self, stage: str, name: str) -> Path:
        """Path of one input file."""
        try:
            return self.inputs(stage)[name]
        except KeyError:
            raise StageError(
                f"stage '{self.request.stage}' needs input '{name}' of stage '{stage}'",
                f"the request gives {sorted(self.inputs(stage)) or 'nothing'} of it",
                "Use a stages.json and an image of the same commit",
            ) from None

    @contextmanager
    def open_output(self, name: str) -> Iterator[HashedFile]:
        """Write an output: <name>.partial, hashed on the way, synced, renamed at the end."""
        path = self._output_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb", buffering=1 << 20) as file:
                hashed = HashedFile(file)
                yield hashed
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        fsync_directory(path.parent)
        self.outputs[name] = {"name": name, "bytes": hashed.bytes, "sha256": hashed.hexdigest()}

    def adopt_output(self, name: str, path: Path) -> None:
        """Turn a finished file of scratch_dir (or of the read-only source) into an output."""
        if path.is_relative_to(self.output_dir):
            self._adopt_by_rename(name, path)
            return
        with path.open("rb") as file, self.open_output(name) as output:
            while block := file.read(BLOCK_BYTES):
                output.write(block)

    def _adopt_by_rename(self, name: str, path: Path) -> None:
        target = self._output_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        path.replace(target)
        fsync_directory(target.parent)
        self.outputs[name] = {"name": name, "bytes": size, "sha256": digest}

    def _output_path(self, name: str) -> Path:
        pure = PurePosixPath(name)
        reserved = ("attempts", "stage.json")
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or pure.parts[0] in reserved:
            raise ValueError(f"output name {name!r} must stay below the stage's folder")
        return self.output_dir / pure

    def remove_leftovers(self) -> None:
        """Clear what earlier attempts left; stage.json first: half-removed must not look done."""
        (self.output_dir / "stage.json").unlink(missing_ok=True)
        fsync_directory(self.output_dir)
        for entry in self.output_dir.iterdir():
            if entry.name == "attempts":
                for scratch in entry.glob("*/scratch"):
                    shutil.rmtree(scratch)
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

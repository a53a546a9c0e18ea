"""StageContext: the request, inputs, outputs and facts that a stage's run() works with.

docs/contracts describes the documents. request.py reads them, status.py and runner.py write them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.hashed_file import BLOCK_BYTES, HashedFile, fsync_directory
from dlrm_bench.frame.request import Request
from dlrm_bench.frame.status import StatusWriter


class StageContext:
    """Everything a stage's run() may touch."""

    def __init__(self, request: Request, output_dir: Path, status: StatusWriter) -> None:
        self.request = request
        self.output_dir = output_dir
        self.attempt_dir = output_dir / "attempts" / str(request.attempt)
        self.scratch_dir = self.attempt_dir / "scratch"
        #: What an attempt that did not end has fetched: the next one goes on there.
        self.fetched_dir = output_dir / "fetched"
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
            given = ", ".join(sorted(self.inputs(stage))) or "no file"
            raise StageError(
                f"stage '{self.request.stage}' needs input '{name}' of stage '{stage}'",
                f"the request lists {given} of that stage",
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
        reserved = ("attempts", "fetched", "stage.json")
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or pure.parts[0] in reserved:
            raise ValueError(f"output name {name!r} must stay below the stage's folder")
        return self.output_dir / pure

    def remove_leftovers(self) -> None:
        """Remove what earlier attempts left, but for what they fetched.

        stage.json goes first: the stage must not look done.
        """
        (self.output_dir / "stage.json").unlink(missing_ok=True)
        fsync_directory(self.output_dir)
        for entry in self.output_dir.iterdir():
            if entry == self.fetched_dir:
                continue
            if entry.name == "attempts":
                for scratch in entry.glob("*/scratch"):
                    shutil.rmtree(scratch)
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

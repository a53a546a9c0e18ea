"""Mutates good files and gives them to their readers, which must read them or raise StageError.

    python benchmark/tests/fuzz.py --seconds 600 [--seed N] [--kind metadata]

test_fuzz.py runs a fixed number of cases of a fixed seed; tests/long/readers.sh runs for an hour.
Readers may raise StageError alone, and its message must name a file and the next step. Numbers that
a reader cannot know to be wrong (a changed weight, a changed id in range) are not its fault.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dlrm_bench.data.convert import SyntheticDay
from dlrm_bench.data.day import FILES, SPARSE_FILE, DayFiles, check_ids, write_day_files
from dlrm_bench.data.query_set import SampleFiles
from dlrm_bench.data.trace import trace_text
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.int8.model import load_int8, tensor_shapes
from dlrm_bench.network.dlrm import MULTI_HOT, row_counts, weight_shapes
from dlrm_bench.weights.dump import load_dump
from dlrm_bench.weights.snapshot import METADATA, Snapshot
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file

ROWS = row_counts(2)
LOG_ROWS = 12
TEXTS = (b"-1", b"0", b"99999999999999999999", b"null", b"[]", b"{}", b'"', b"\xff", b"1e9", b"../")


class Target:
    """One kind of file: made once, then mutated in copies and read."""

    def __init__(self, make: Callable[[Path], None], read: Callable[[Path], object]) -> None:
        self.make, self.read = make, read


def mutate(rng: random.Random, content: bytes) -> bytes:
    """Flip bits; cut, double or exchange bytes, or replace them by words that parsers dislike."""
    data = bytearray(content)
    # Heads and tails hold the structure; most bytes in between are values.
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        size = len(data)
        near = rng.choice((128, 1024, size, size))
        at = rng.randrange(max(min(near, size), 1))
        if rng.random() < 0.3:
            at = max(size - 1 - at, 0)
        span = rng.choice((1, 2, 4, 8, 64, 1000))
        action = rng.randrange(7)
        if action == 0 and size:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            del data[at : at + span]
        elif action == 2:
            data[at:at] = data[at : at + span]
        elif action == 3:
            data[at : at + span] = rng.randbytes(span)
        elif action == 4:
            data[at : at + rng.choice((0, 1, 4))] = rng.choice(TEXTS)
        elif action == 5:
            del data[at:]
        else:
            data[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8))
    return bytes(data)


def make_snapshot(folder: Path) -> None:
    """A snapshot that torchrec and torchsnapshot wrote."""
    data = Path(__file__).with_name("snapshots") / "torchrec_snapshot.tar.gz"
    with tempfile.TemporaryDirectory() as unpacked:
        shutil.unpack_archive(data, unpacked)
        shutil.copytree(Path(unpacked) / "torchrec_snapshot", folder, dirs_exist_ok=True)


def read_snapshot(folder: Path) -> None:
    """Read as the stages do: metadata, completeness, every value."""
    snapshot = Snapshot(folder)
    whole = {name: tensor.shape for name, tensor in snapshot.tensors.items()}
    if snapshot.problems(whole, more_rows=False):
        return
    for name, shape in whole.items():
        for _ in snapshot.blocks(name, shape[0] if shape else 1):
            pass


def make_day(folder: Path) -> None:
    """The three files of a user's log."""
    write_day_files(folder, LOG_ROWS, 4, SyntheticDay(1, ROWS))


def read_day(folder: Path) -> None:
    """Read as stage dataset does."""
    day = DayFiles(folder)
    limits = np.repeat(np.asarray(ROWS, np.int32), MULTI_HOT)
    for block in day.blocks(min(day.rows, 100), 8):
        check_ids(block.first, block.ids, limits, official=True)
    day.finish(lambda _bytes: None)


def make_queries(folder: Path) -> None:
    """The .bin files and the trace."""
    (folder / "trace.txt").write_text(trace_text(250)[0])
    (folder / "dense.bin").write_bytes(bytes(250 * 52))
    (folder / "sparse.bin").write_bytes(bytes(250 * 860))


def read_queries(folder: Path) -> None:
    """Read as stages accuracy and performance do."""
    SampleFiles(folder / "dense.bin", folder / "sparse.bin", folder / "trace.txt")


def write_tensors(path: Path, tensors: dict[str, object]) -> None:
    """A file written by torch_file.py."""
    content = {
        name: StreamedTensor.of(value) if isinstance(value, torch.Tensor) else value
        for name, value in tensors.items()
    }
    with path.open("wb") as file:
        write_torch_file(HashedFile(file), content)


def make_int8(folder: Path) -> None:
    """A whole int8 file; its numbers mean nothing."""
    content: dict[str, object] = {
        "format": "dlrm-fleet native int8",
        "version": 1,
        "source_sha256": "0" * 64,
        "row_counts": list(ROWS),
    }
    kinds = {"rows": torch.uint8, "codes": torch.int8}
    for name, shape in tensor_shapes(ROWS).items():
        dtype = kinds.get(name.rsplit(".", 1)[1], torch.float32)
        content[name] = torch.zeros(shape, dtype=dtype)
    write_tensors(folder / "model.pt", content)


def make_dump(folder: Path) -> None:
    """A whole dump of zeros."""
    shapes = weight_shapes(ROWS)
    write_tensors(folder / "model.pt", {name: torch.zeros(shape) for name, shape in shapes.items()})


TARGETS = {
    "metadata": Target(make_snapshot, read_snapshot),
    "day": Target(make_day, read_day),
    "queries": Target(make_queries, read_queries),
    "int8": Target(make_int8, lambda folder: load_int8(folder / "model.pt", ROWS)),
    "dump": Target(make_dump, lambda folder: load_dump(folder / "model.pt", ROWS)),
}


def chosen_files(kind: str, folder: Path) -> list[Path]:
    """The files that are worth mutating."""
    if kind == "metadata":
        return [folder / METADATA]
    if kind == "day":
        return [folder / name for name in (*FILES, SPARSE_FILE)]
    return sorted(path for path in folder.iterdir() if path.is_file())


class Fuzzer:
    """Cases of one kind, each made from its number: a failure names the number to repeat."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.target, self.folder = kind, TARGETS[kind], folder
        folder.mkdir(parents=True)
        self.target.make(folder)
        self.target.read(folder)
        self.originals = {p: p.read_bytes() for p in chosen_files(kind, folder)}
        self.read = self.refused = 0

    def case(self, number: int) -> None:
        """Mutate one file, read it, restore it; AssertionError if the reader refuses it badly."""
        rng = random.Random(f"{self.kind} {number}")
        path = rng.choice(sorted(self.originals))
        path.write_bytes(mutate_large(rng, self.originals[path]))
        try:
            self.target.read(self.folder)
            self.read += 1
        except StageError as refusal:
            self.refused += 1
            if not (refusal.what and refusal.why and refusal.next_step):
                raise AssertionError(
                    f"{self.kind} case {number}: no remedy: {refusal}"
                ) from refusal
        except Exception as error:
            name = f"{type(error).__name__}: {str(error)[:300]}"
            raise AssertionError(f"{self.kind} case {number} ({path.name}): {name}") from error
        finally:
            path.write_bytes(self.originals[path])


def mutate_large(rng: random.Random, content: bytes) -> bytes:
    """A 64 MB model is mutated at its ends, where everything but the numbers lies."""
    if len(content) < 4 << 20:
        return mutate(rng, content)
    if rng.random() < 0.5:
        return mutate(rng, content[: 64 << 10]) + content[64 << 10 :]
    return content[: -(64 << 10)] + mutate(rng, content[-(64 << 10) :])


def main() -> int:
    """Run cases of each kind in turn until the time is up; print the failures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kind", choices=TARGETS, action="append")
    asked = parser.parse_args()
    kinds = asked.kind or list(TARGETS)
    failures = set()
    with tempfile.TemporaryDirectory() as scratch:
        for kind in kinds:
            fuzzer = Fuzzer(kind, Path(scratch) / kind)
            until = time.monotonic() + asked.seconds / len(kinds)
            number = asked.seed * 1_000_000
            while time.monotonic() < until:
                try:
                    fuzzer.case(number)
                except AssertionError as error:
                    failures.add(str(error))
                number += 1
            print(f"{kind}: {fuzzer.read} read, {fuzzer.refused} refused", flush=True)
    for failure in sorted(failures):
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

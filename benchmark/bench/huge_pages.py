"""The int8 kernel's speed by where its tables lie: file, huge pages, 4 KiB pages. One core.

    PYTHONPATH=benchmark/src python benchmark/bench/huge_pages.py --row-cap 1000000 --output FILE

A model file of random tables is made in --scratch. One process maps it as a worker does ("mapped"),
copies it as the stage does ("copy") and once more without huge pages ("small pages"), and runs all
three interleaved on the same fresh pairs. Scores must have the same bits. Rounds with more than 2 %
of other load are kept apart and do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rounds import OtherLoad, enough, figure, write

from dlrm_bench.engines.choice import KERNEL_BATCH
from dlrm_bench.engines.kernel import KernelModel, instruction_sets
from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.int8.model import FORMAT, ROW_BYTES, VERSION, load_int8, tensor_shapes
from dlrm_bench.memory import resident
from dlrm_bench.memory.placed_model import PART_BYTES
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DENSE_FEATURES, MULTI_HOT, row_counts
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file
from dlrm_bench.workers.process import populate_mappings

ROUND_PAIRS = 4032
#: As calibrate writes.
BLOCK_ROWS = 65_536
VARIANTS = ("mapped", "copy", "small pages")


def random_rows(rng: np.random.Generator, count: int) -> Iterator[Array]:
    """Codes with scales and smallest values of the size that calibrate finds."""
    for first in range(0, count, BLOCK_ROWS):
        rows = rng.integers(0, 256, (min(BLOCK_ROWS, count - first), ROW_BYTES), dtype=np.uint8)
        rows[:, -8:] = np.array([1e-3, -0.1], np.float32).view(np.uint8)
        yield rows


def write_model(path: Path, rows: Sequence[int], seed: int) -> None:
    """A file the engine takes; what it scores means nothing."""
    rng = np.random.default_rng(seed)
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION, "row_counts": list(rows)}
    for name, shape in tensor_shapes(rows).items():
        kind = name.rsplit(".", 1)[1]
        if kind == "rows":
            content[name] = StreamedTensor(torch.uint8, shape, random_rows(rng, shape[0]))
        elif kind == "codes":
            codes = rng.integers(-127, 128, shape, dtype=np.int8)
            content[name] = StreamedTensor.of(torch.from_numpy(codes))
        else:
            values = 1e-3 * rng.standard_normal(shape, dtype=np.float32)
            content[name] = StreamedTensor.of(torch.from_numpy(np.abs(values)))
    with path.open("wb") as file:
        write_torch_file(HashedFile(file), content)
        file.flush()
        os.fsync(file.fileno())


def copy_of(path: Path, huge: bool) -> resident.ResidentFile:
    """The file in shared memory."""
    copy = resident.ResidentFile(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        for first in range(0, copy.size, PART_BYTES):
            last = min(first + PART_BYTES, copy.size)
            if huge:
                copy.make_huge(first, last)
            while first < last:
                first += file.readinto(copy.bytes[first:last]) or 0
    copy.populate()
    return copy


def make_models(path: Path, rows: Sequence[int]) -> tuple[dict[str, KernelModel], dict[str, int]]:
    """The kernel over each variant, and bytes of it in huge pages."""
    best = instruction_sets()[0]
    models = {"mapped": KernelModel(load_int8(path, rows), best, KERNEL_BATCH)}
    populate_mappings(path)
    name = os.path.realpath(path)
    huge = {"mapped": resident.huge_page_bytes(lambda _start, found: found == name)}
    for variant in VARIANTS[1:]:
        copy = copy_of(path, huge=variant == "copy")
        resident.adopt(path, copy)
        models[variant] = KernelModel(load_int8(path, rows), best, KERNEL_BATCH)
        huge[variant] = copy.huge_page_bytes()
    return models, huge


def one_round(
    models: dict[str, KernelModel], rows: Sequence[int], rng: np.random.Generator, number: int
) -> dict[str, Any]:
    """Each variant once on the same pairs, in an order that turns."""
    dense = rng.random((ROUND_PAIRS, DENSE_FEATURES), dtype=np.float32)
    ids = np.concatenate(
        [rng.integers(0, n, (ROUND_PAIRS, hot)) for n, hot in zip(rows, MULTI_HOT, strict=True)], 1
    ).astype(np.int32)
    turn = number % len(VARIANTS)
    rates, scores = {}, []
    others = OtherLoad()
    for variant in VARIANTS[turn:] + VARIANTS[:turn]:
        start = time.perf_counter()
        scores.append(models[variant].forward(dense, ids))
        rates[variant] = ROUND_PAIRS / (time.perf_counter() - start)
    other = others.share()
    equal = all(np.array_equal(one.view(np.int32), scores[0].view(np.int32)) for one in scores)
    return {
        "pairs_per_second": rates,
        "to_small_pages": {name: rate / rates["small pages"] for name, rate in rates.items()},
        "other_load": other,
        "equal": equal and bool(np.isfinite(scores[0]).all()),
    }


def main() -> int:
    """0 when all scores are equal and at least half of the rounds were quiet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row-cap", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {asked.core})
    torch.set_num_threads(1)
    rows = row_counts(asked.row_cap)
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="dlrm-huge-") as folder:
        path = Path(folder) / "model.pt"
        write_model(path, rows, asked.seed)
        models, huge = make_models(path, rows)
        rng = np.random.default_rng()
        one_round(models, rows, rng, 0)  # Warm-up.
        rounds = [one_round(models, rows, rng, number) for number in range(asked.rounds)]
        size = path.stat().st_size
    found = {
        name: {of: figure(rounds, of, name) for of in ("pairs_per_second", "to_small_pages")}
        for name in VARIANTS
    }
    write(
        *(asked.output, "huge_pages", rounds),
        row_cap=asked.row_cap,
        instruction_set=instruction_sets()[0],
        model_bytes=size,
        huge_page_bytes=huge,
        summary=found,
    )
    print(json.dumps({"model_bytes": size, "huge_page_bytes": huge, **found}))
    return 0 if all(one["equal"] for one in rounds) and enough(rounds) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""An engine's speed on one core: beside the core's peak, PyTorch's engine and the recipe's.

    PYTHONPATH=benchmark/src python benchmark/bench/speed.py --precision int8 --row-cap 100000 \\
        --recipe RECIPE.py --output speed_int8_100000.json

All run interleaved in one process on one core, each at its best batch; between them peak.cpp
measures what the core can do at most. A few rounds in each of several processes: a process' speed
depends on where its memory lies. Pairs are fresh in every round; the engine and the recipe,
whose tables are apart, get the same ones, and PyTorch's engine, which reads the engine's file,
others like them. Every timed output is compared with fp32. Rounds with other load do not count.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from candidates import Forward, Pairs, Product, Published, fresh_pairs, product, pytorch
from demo import DUMP, model_file, prepare
from peak import load_peak, macs
from rounds import OtherLoad, enough, figure, write

from dlrm_bench.measure.scorer import soft_auc
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import Fp32Model, row_counts
from dlrm_bench.weights.dump import load_dump

AUC_PAIRS = 2000
#: Least rows of the data set's log: the model file is all that is used.
DATA_ROWS = 2000
#: Numbers of the first accuracy and timed pairs; calibration has others.
ACCURACY, TIMED = 4_000_000, 5_000_000
#: Numbers of pairs that a process may use.
PROCESS = 10_000


def rate(engine: Forward, parts: Sequence[Pairs], outputs: list[Array]) -> float:
    """Pairs a second over these batches, by wall time."""
    began = time.perf_counter()
    for part in parts:
        outputs.append(engine(part))
    return sum(map(len, parts)) / (time.perf_counter() - began)


class Bench:
    """The engines, fp32, the peak and the pairs they work on."""

    def __init__(
        self,
        engines: dict[str, Forward],
        fp32: Fp32Model,
        peak: Callable[[], float],
        macs_a_pair: int,
        rows: Sequence[int],
        seed: int,
        round_pairs: int,
        process: int,
    ) -> None:
        """`round_pairs`: of a round, several calls of each engine; `process`: its number."""
        self._macs = macs_a_pair
        self.engines, self.rows, self.seed = engines, rows, seed
        self.round_pairs = round_pairs
        self._fp32, self._peak, self._number = fp32, peak, TIMED + process * PROCESS

    def fp32(self, pairs: Pairs) -> Array:
        """The plain model's probabilities."""
        result: Array = self._fp32.forward(*map(torch.from_numpy, (pairs.dense, pairs.ids))).numpy()
        return result

    def fresh(self, count: int) -> Pairs:
        """Pairs nobody has had."""
        self._number += 1
        return fresh_pairs(count, self.rows, self.seed, self._number)

    def best_batch(self, name: str, sizes: Sequence[int]) -> tuple[int, dict[int, float]]:
        """The fastest of these sizes, and pairs a second of each."""
        rates: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(3):
            for size in sizes:
                parts = self.fresh(max(size, self.round_pairs)).cut(size)
                rates[size].append(rate(self.engines[name], parts, []))
        medians = {size: round(statistics.median(found), 1) for size, found in rates.items()}
        return max(medians, key=lambda size: medians[size]), medians

    def round(self, sizes: dict[str, int], number: int) -> dict[str, Any]:
        """Each engine once, the peak before, between and after."""
        most = max(self.round_pairs, *sizes.values())
        shared, apart = self.fresh(most), self.fresh(most)
        parts = {n: (apart if n == "pytorch" else shared).cut(size) for n, size in sizes.items()}
        names = list(sizes)
        turn = number % len(names)
        names = names[turn:] + names[:turn]
        outputs: dict[str, list[Array]] = {name: [] for name in names}
        load = OtherLoad()
        peaks, rates, beside = [self._peak()], {}, {}
        for name in names:
            rates[name] = rate(self.engines[name], parts[name], outputs[name])
            peaks.append(self._peak())
            beside[name] = (peaks[-2] + peaks[-1]) / 2
        other = load.share()
        worst = {
            name: max(
                float(np.abs(found - self.fp32(part)).max())
                for found, part in zip(outputs[name], parts[name], strict=True)
            )
            for name in names
        }
        return {
            "pairs_per_second": rates,
            "peak_macs_per_second": beside,
            # The recipe beside bf16 is fp32: it has no share of this peak.
            "share_of_peak": {
                name: rates[name] * self._macs / beside[name]
                for name in names
                if beside[name] and name != "recipe"
            },
            "engine_against": {
                name: rates["engine"] / rates[name] for name in names if name != "engine"
            },
            "other_load": other,
            "largest_difference_from_fp32": worst,
        }

    def retention(self, pairs: int) -> dict[str, float]:
        """Soft AUC kept of fp32's."""
        numbers = range(ACCURACY, ACCURACY + pairs // AUC_PAIRS)
        batches = [fresh_pairs(AUC_PAIRS, self.rows, self.seed, n) for n in numbers]
        p = np.concatenate([self.fp32(batch) for batch in batches])
        kept = {}
        for name, engine in self.engines.items():
            scores = np.concatenate([engine(batch) for batch in batches])
            kept[name] = round(soft_auc(scores, p) / soft_auc(p, p), 6)
        return kept


class Sweeps(NamedTuple):
    """Each engine's fastest batch, and pairs a second of each that was tried."""

    best: dict[str, int]
    rates: dict[str, dict[int, float]]


class Measured(NamedTuple):
    """What one process found."""

    engines: dict[str, str]
    sweeps: Sweeps
    rounds: list[dict[str, Any]]
    retention: dict[str, float]


def sweep(bench: Bench, asked: argparse.Namespace) -> Sweeps:
    """Every engine with every batch asked for."""
    found = Sweeps({}, {})
    for name, one in bench.engines.items():
        tried = asked.recipe_batches
        if isinstance(one, Product):
            own = one.best_batch
            tried = asked.engine_batches or f"{own // 2},{own},{2 * own},{4 * own}"
        sizes = [int(n) for n in tried.split(",")]
        found.best[name], found.rates[name] = bench.best_batch(name, sizes)
    return found


def measure(
    asked: argparse.Namespace, done: Mapping[str, Path], process: int, sweeps: Sweeps | None
) -> Measured:
    """A process' rounds; the first one, without `sweeps`, finds batches and accuracy too."""
    os.sched_setaffinity(0, {asked.core})
    rows = row_counts(asked.row_cap)
    model, dump = model_file(done, asked.precision), done[DUMP[0]] / DUMP[1]
    engine = product(asked.precision, model, rows)
    found: dict[str, Forward] = {"engine": engine}
    named = {"engine": engine.name}
    beside = pytorch(asked.precision, model, rows, engine.name)
    if beside:
        found["pytorch"], named["pytorch"] = beside, beside.name
    if asked.recipe:
        found["recipe"] = Published(asked.recipe, asked.precision, dump, rows)
        named["recipe"] = Published.name
    fp32 = Fp32Model(load_dump(dump, rows))
    with tempfile.TemporaryDirectory(prefix="dlrm-peak-") as scratch:
        peak = load_peak(asked.precision, Path(scratch))
    work = macs(asked.precision)
    bench = Bench(found, fp32, peak, work, rows, asked.seed, asked.round_pairs, process)
    kept = {} if sweeps else bench.retention(asked.auc_pairs)
    sweeps = sweeps or sweep(bench, asked)
    first = process * asked.rounds
    # Not kept: what a process touches for the first time would count against who comes late to it.
    bench.round(sweeps.best, first)
    raw = [bench.round(sweeps.best, first + number) for number in range(asked.rounds)]
    return Measured(named, sweeps, [{"process": process, **one} for one in raw], kept)


def summary(raw: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Of each engine: pairs/s, share of the peak, and how many times as fast the engine is."""
    keys = ("pairs_per_second", "share_of_peak", "engine_against")
    return {key: {name: figure(raw, key, name) for name in names} for key in keys}


def main() -> int:
    """0 when at least half of the rounds count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["int8", "fp32", "bf16"], default="int8")
    parser.add_argument("--recipe", type=Path, help="RECIPE.py of candidates.py")
    parser.add_argument("--row-cap", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of each process")
    parser.add_argument("--round-pairs", type=int, default=8192)
    parser.add_argument("--auc-pairs", type=int, default=40_000)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--recipe-batches", default="400,1024,4096,16384")
    parser.add_argument("--engine-batches", help="else 1/2, 1, 2 and 4 times the engine's own")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    parts: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="dlrm-speed-") as scratch:
        done = prepare(Path(scratch), asked.precision, asked.row_cap, DATA_ROWS)
        for process in range(asked.processes):
            sweeps = parts[0].sweeps if parts else None
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as one:
                parts.append(one.submit(measure, asked, done, process, sweeps).result())
    first, raw = parts[0], [one for part in parts for one in part.rounds]
    figures = summary(raw, list(first.engines))
    write(
        asked.output,
        "speed",
        raw,
        precision=asked.precision,
        row_cap=asked.row_cap,
        seed=asked.seed,
        engines=first.engines,
        macs_per_pair=macs(asked.precision),
        best_batch=first.sweeps.best,
        pairs_per_second_by_batch=first.sweeps.rates,
        soft_auc_retention=first.retention,
        summary=figures,
    )
    shown = {"best_batch": first.sweeps.best, "soft_auc_retention": first.retention}
    print(json.dumps({**shown, **figures}))
    return 0 if enough(raw) else 1


if __name__ == "__main__":
    raise SystemExit(main())

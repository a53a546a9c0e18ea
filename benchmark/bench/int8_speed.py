"""This CPU's int8 kernel against the published recipe's arithmetic: one core, one process.

    PYTHONPATH=benchmark/src python benchmark/bench/int8_speed.py --recipe RECIPE.py \\
        --row-cap 100000 --output int8_speed.json

RECIPE.py rebuilds the recipe: make_weights, make_batch and recipe. Both engines run interleaved on
the same fresh pairs, each at its best batch, and between them what the core can do at most is
measured (peak.cpp). Rounds with more than 2 % of other load are kept apart and do not count. Every
timed output is compared with fp32.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from quality import soft_auc, surroundings

from dlrm_bench import engines
from dlrm_bench.calibrate import fit, quantize_rows, small_content
from dlrm_bench.int8 import quantized_layers
from dlrm_bench.kernel import KernelModel, instruction_sets
from dlrm_bench.model import table_name, weight_shapes

Array = np.ndarray[Any, Any]
OTHER_LOAD = 0.02
#: Pairs of a round: several calls of each engine.
ROUND_PAIRS = 4096
PEAK_SECONDS = 0.1
FIT_PAIRS = 8192
#: Numbers of batches: of calibration, fit and accuracy; timed ones are beyond all of them.
CALIBRATION, ACCURACY, TIMED = 1000, 7000, 1_000_000
#: Of the host, in units of USER_HZ: user, nice, system, irq, softirq and steal.
BUSY = (0, 1, 2, 5, 6, 7)


class Pairs:
    """The same pairs in the form of each engine."""

    def __init__(self, recipe: Any, count: int, rows: Sequence[int], seed: int) -> None:
        self.recipes = recipe.make_batch(count, rows, seed)
        dense, ids = self.recipes
        columns = [part.view(count, -1) for part in ids]
        self.dense = dense.numpy()
        self.ids = torch.cat(columns, 1).to(torch.int32).numpy()


Engine = Callable[[Pairs], Array]


def load_recipe(path: Path) -> Any:
    """The module at `path`."""
    spec = importlib.util.spec_from_file_location("recipe", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_peak(folder: Path) -> Callable[[], float]:
    """int8 multiply-accumulates a second; compiled here."""
    library = folder / "peak.so"
    source = Path(__file__).parent / "peak.cpp"
    subprocess.run(["g++", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
    peak = ctypes.CDLL(str(library)).peak
    peak.argtypes, peak.restype = [ctypes.c_char_p, ctypes.c_double], ctypes.c_double
    return lambda: float(peak(b"int8", PEAK_SECONDS))


def kernel_content(weights: dict[str, torch.Tensor], pairs: Pairs, rows: Sequence[int]) -> Any:
    """What calibrate writes for these weights; uses their tables up: no room for two of each."""
    tables = [weights.pop(table_name(table)) for table in range(len(rows))]
    fitted = fit(weights, tables, torch.from_numpy(pairs.dense), torch.from_numpy(pairs.ids))
    content = small_content(fitted, rows, "")
    for table in range(len(rows)):
        packed = quantize_rows(tables[table])
        content[f"{table_name(table)}.rows"] = torch.from_numpy(packed)
        tables[table] = torch.empty(0)
    return content


def busy() -> tuple[float, float]:
    """CPU seconds of the whole host, and of this process."""
    ticks = [int(n) for n in Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]]
    return sum(ticks[n] for n in BUSY) / os.sysconf("SC_CLK_TCK"), time.process_time()


def rate(engine: Engine, parts: Sequence[Pairs], outputs: list[Array]) -> float:
    """Pairs a second over these batches."""
    began = time.perf_counter()
    for part in parts:
        outputs.append(engine(part))
    return sum(len(part.dense) for part in parts) / (time.perf_counter() - began)


class Bench:
    """Both engines, fp32 and the pairs they work on."""

    def __init__(self, recipe: Any, rows: Sequence[int], seed: int) -> None:
        self.recipe, self.rows = recipe, rows
        self.rng = np.random.default_rng()
        weights = recipe.make_weights(list(rows), seed)
        calibration = [recipe.make_batch(4096, rows, CALIBRATION + n) for n in range(4)]
        published = recipe.recipe(weights, list(rows), "int8", calibration)
        fp32 = recipe.recipe(weights, list(rows), "fp32")
        fitted = Pairs(recipe, FIT_PAIRS, rows, CALIBRATION)
        name = instruction_sets()[0]
        self.name = f"Int8KernelEngine {name}"
        model = KernelModel(kernel_content(weights, fitted, rows), name, engines.KERNEL_BATCH)
        self.engines: dict[str, Engine] = {
            "recipe": lambda pairs: np.asarray(published(*pairs.recipes)).ravel(),
            "engine": lambda pairs: model.forward(pairs.dense, pairs.ids),
        }
        self.fp32: Engine = lambda pairs: np.asarray(fp32(*pairs.recipes)).ravel()

    def fresh(self, size: int) -> list[Pairs]:
        """New pairs for a round in batches of `size`."""
        seeds = self.rng.integers(TIMED, 2**31, max(1, ROUND_PAIRS // size))
        return [Pairs(self.recipe, size, self.rows, int(seed)) for seed in seeds]

    def best_batch(self, name: str, sizes: Sequence[int]) -> tuple[int, dict[int, float]]:
        """The fastest of these sizes, and pairs a second of each."""
        rates: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(3):
            for size in sizes:
                rates[size].append(rate(self.engines[name], self.fresh(size), []))
        medians = {size: statistics.median(found) for size, found in rates.items()}
        return max(medians, key=lambda size: medians[size]), medians

    def round(self, sizes: dict[str, int], peak: Callable[[], float], number: int) -> Any:
        """Both once on fresh pairs, peak before, between and after."""
        parts = {name: self.fresh(size) for name, size in sizes.items()}
        order = list(sizes)[:: 1 if number % 2 else -1]
        outputs: dict[str, list[Array]] = {name: [] for name in order}
        host, own = busy()
        began = time.perf_counter()
        peaks, rates = [peak()], {}
        for name in order:
            rates[name] = rate(self.engines[name], parts[name], outputs[name])
            peaks.append(peak())
        elapsed = time.perf_counter() - began
        after, own_after = busy()
        other = max(0.0, (after - host - (own_after - own)) / (elapsed * (os.cpu_count() or 1)))
        worst = {
            name: max(
                float(np.abs(found - self.fp32(part)).max())
                for found, part in zip(outputs[name], parts[name], strict=True)
            )
            for name in order
        }
        at = order.index("engine")
        return {
            "pairs_per_second": rates,
            "ratio": rates["engine"] / rates["recipe"],
            "peak": peaks,
            "peak_beside_engine": (peaks[at] + peaks[at + 1]) / 2,
            "other_load": round(other, 4),
            "largest_difference_from_fp32": worst,
        }

    def retention(self, pairs: int) -> dict[str, float]:
        """Soft AUC kept of fp32's."""
        batches = [Pairs(self.recipe, 2000, self.rows, ACCURACY + n) for n in range(pairs // 2000)]
        p = np.concatenate([self.fp32(batch) for batch in batches])
        kept = {}
        for name, engine in self.engines.items():
            scores = np.concatenate([engine(batch) for batch in batches])
            kept[name] = soft_auc(p, scores) / soft_auc(p, p)
        return kept


def macs() -> int:
    """int8 multiply-accumulates of a pair."""
    shapes = weight_shapes([1] * 26)
    return sum(int(np.prod(shapes[f"{name}.weight"])) for name in quantized_layers())


def summary(rounds: list[Any]) -> dict[str, Any]:
    """Medians over the rounds that count."""
    quiet = [one for one in rounds if one["other_load"] <= OTHER_LOAD]
    found: dict[str, Any] = {"rounds": len(rounds), "quiet_rounds": len(quiet)}
    if quiet:
        for name in ("recipe", "engine"):
            rates = [one["pairs_per_second"][name] for one in quiet]
            found[f"{name}_pairs_per_second"] = round(statistics.median(rates), 1)
        found["ratio"] = round(statistics.median(one["ratio"] for one in quiet), 4)
        shares = [
            one["pairs_per_second"]["engine"] * macs() / one["peak_beside_engine"] for one in quiet
        ]
        found["share_of_peak"] = round(statistics.median(shares), 4)
    return found


def main() -> int:
    """0 when enough rounds were quiet for a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--row-cap", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--auc-pairs", type=int, default=40_000)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--recipe-batches", default="200,400,1024,4096")
    parser.add_argument("--engine-batches", default="126,252,504,1008")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {asked.core})
    recipe = load_recipe(asked.recipe)
    torch.set_num_threads(1)
    rows = [min(count, asked.row_cap) for count in recipe.ROWS]
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        bench, peak = Bench(recipe, rows, asked.seed), load_peak(Path(folder))
        best, sweeps = {}, {}
        for name in ("recipe", "engine"):
            sizes = [int(size) for size in getattr(asked, f"{name}_batches").split(",")]
            best[name], sweeps[name] = bench.best_batch(name, sizes)
        rounds = [bench.round(best, peak, number) for number in range(asked.rounds)]
        kept = bench.retention(asked.auc_pairs)
    found = summary(rounds)
    document = {
        **surroundings(),
        "engine": bench.name,
        "row_cap": asked.row_cap,
        "seed": asked.seed,
        "block": engines.KERNEL_BATCH,
        "macs_per_pair": macs(),
        "best_batch": best,
        "pairs_per_second_by_batch": sweeps,
        "summary": found,
        "soft_auc_retention": kept,
        "raw": rounds,
    }
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"best_batch": best, **found, "soft_auc_retention": kept}))
    return 0 if found["quiet_rounds"] >= asked.rounds / 2 else 1


if __name__ == "__main__":
    raise SystemExit(main())

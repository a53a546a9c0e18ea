"""What INT8 and BF16 cost in accuracy: soft AUC and logit error against fp32.

    PYTHONPATH=benchmark/src python benchmark/bench/quality.py --output quality.json

A proxy on made-up weights: only the official data gates a 99.9 % claim. Soft AUC weighs each pair
as positive with the probability p that fp32 gives it and as negative with 1 - p. A set of weights
takes some minutes a core; each is written down as soon as it is measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from candidates import made_up
from rounds import surroundings

from dlrm_bench.data import synthetic
from dlrm_bench.engines.bf16 import Bf16Model
from dlrm_bench.int8.fit import fit, report_models, small_content
from dlrm_bench.int8.model import Int8Model
from dlrm_bench.measure.scorer import soft_auc
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import DIM, MULTI_HOT, TABLES, Fp32Model, row_counts, table_name
from dlrm_bench.stages.calibrate import MOST_FITTED

BATCH = 2048
#: First of the batches the fit sees; those measured have numbers below.
CALIBRATION = 2_000_000
RETENTION_REACH, LOGIT_REACH, BF16_REACH = 0.9992, 0.45, 0.9999
#: Student's t with 5 degrees of freedom: among 3,456 values some reach 10 standard deviations.
DEGREES = 5
ROW_SIGMA = 1.0


def make_weights(name: str, seed: int, rows: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """The demo's weights of a seed, made heavy-tailed as `name` says; logits scaled as before."""
    weights = {}
    for table, count in enumerate(rows):
        blocks = list(synthetic.table_rows(seed, table, 0, count))
        weights[table_name(table)] = torch.from_numpy(np.concatenate(blocks))
    for tensor_name, values in synthetic.dense_weights(seed, rows).items():
        weights[tensor_name] = torch.from_numpy(values)
    stretch = STRETCHES[name]
    if stretch:
        rng = synthetic.generator(seed, 900)
        for tensor_name, tensor in weights.items():
            if "embedding_bags" in tensor_name or (tensor.dim() == 2 and name.endswith("values")):
                tensor *= torch.from_numpy(stretch(rng, tuple(tensor.shape)).astype(np.float32))
        rescale(weights, seed, rows)
    return weights


def heavy_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """The tables' row norms spread by a further log-normal: 1 % exceed the median tenfold."""
    spread: Array = np.exp(ROW_SIGMA * rng.standard_normal((shape[0], 1)) - ROW_SIGMA**2)
    return spread


def heavy_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Turns normal values into Student's t of the same variance."""
    values: Array = np.sqrt((DEGREES - 2) / rng.chisquare(DEGREES, shape))
    return values


STRETCHES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array] | None] = {
    "normal": None,
    "heavy-tailed rows": heavy_rows,
    "heavy-tailed values": heavy_values,
}


HEAVY = ("heavy-tailed rows", "heavy-tailed values")


def rescale(weights: dict[str, torch.Tensor], seed: int, rows: tuple[int, ...]) -> None:
    """Give the logits the mean and deviation synthetic weights have."""
    with torch.no_grad():
        z = Fp32Model(weights).logits(*batch(seed, rows, 1_000_000))
    scale = synthetic.LOGIT_STD / float(z.std())
    last = "over_arch.model._mlp.8"
    weights[f"{last}.weight"] *= scale
    weights[f"{last}.bias"] *= scale
    weights[f"{last}.bias"] += synthetic.LOGIT_MEAN - scale * float(z.mean())


def batch(seed: int, rows: tuple[int, ...], number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Dense [BATCH, 13] and ids [BATCH, 214] that no calibration saw."""
    dense, ids = made_up(BATCH, rows, seed, number)
    return torch.from_numpy(dense), torch.from_numpy(ids)


def quantized(weights: dict[str, torch.Tensor], seed: int, rows: tuple[int, ...]) -> Int8Model:
    """The model calibrate would write, fitted to as many pairs as of an official set."""
    tables = [weights[table_name(table)].clone() for table in range(TABLES)]
    batches = [batch(seed, rows, CALIBRATION + n) for n in range(MOST_FITTED // BATCH)]
    dense, ids = (torch.cat(parts) for parts in zip(*batches, strict=True))
    fitted = fit(weights, tables, dense, ids)
    return report_models(small_content(fitted, rows, ""), fitted, tables)[0]


def measure(name: str, seed: int, rows: tuple[int, ...], pairs: int) -> dict[str, Any]:
    """One row of the table: three forwards of the same pairs."""
    started = time.monotonic()
    weights = make_weights(name, seed, rows)
    reference, bf16 = Fp32Model(weights), Bf16Model(weights)
    int8 = quantized(weights, seed, rows)
    fitted = time.monotonic()
    logits, scores, bf16_logits = [], [], []
    for number in range(-(-pairs // BATCH)):
        dense, ids = batch(seed, rows, number)
        with torch.no_grad():
            logits.append(reference.logits(dense, ids).double())
            bf16_logits.append(bf16.logits(dense, ids).double())
        scores.append(int8.forward(dense, ids).double())
    z = torch.cat(logits)[:pairs]
    # A float32 probability of exactly 1 has no logit.
    z8 = torch.logit(torch.cat(scores)[:pairs].clamp(1e-30, 1 - 1e-8))
    p = torch.sigmoid(z).numpy()
    own = soft_auc(p, p)
    result = {"weights": name, "seed": seed, "pairs": pairs, "soft_auc_fp32": round(own, 6)}
    for kind, found in (("int8", z8), ("bf16", torch.cat(bf16_logits)[:pairs])):
        error = (found - z).numpy()
        reached = soft_auc(found.numpy(), p)
        result[kind] = {
            "soft_auc": round(reached, 6),
            "retention": round(reached / own, 6),
            "logit_rms": round(float(np.sqrt((error**2).mean())), 4),
            "logit_p99_9": round(float(np.quantile(np.abs(error), 0.999)), 4),
        }
    result["seconds_to_fit"] = round(fitted - started, 1)
    result["seconds"] = round(time.monotonic() - started, 1)
    return result


def missed(result: dict[str, Any]) -> bool:
    """Does a set of weights lose more than it may?"""
    int8, bf16 = result["int8"], result["bf16"]
    too_far = result["weights"] == "normal" and int8["logit_p99_9"] > LOGIT_REACH
    return int8["retention"] < RETENTION_REACH or bf16["retention"] < BF16_REACH or bool(too_far)


def table(results: list[dict[str, Any]]) -> str:
    """The table of docs/native.md."""
    lines = [
        "| weights | fp32 | INT8 | kept | p99.9 logit error | BF16 kept | p99.9 logit error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in results:
        int8, bf16 = row["int8"], row["bf16"]
        lines.append(
            f"| {row['weights']}, seed {row['seed']} | {row['soft_auc_fp32']:.5f} "
            f"| {int8['soft_auc']:.5f} | {100 * int8['retention']:.3f} % "
            f"| {int8['logit_p99_9']:.3f} | {100 * bf16['retention']:.4f} % "
            f"| {bf16['logit_p99_9']:.3f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """0 when every measured set of weights keeps what it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--heavy-seed", type=int, default=1)
    parser.add_argument("--heavy", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--row-cap", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path("quality.json"))
    asked = parser.parse_args()
    rows = row_counts(asked.row_cap)
    todo = [("normal", int(seed)) for seed in asked.seeds.split(",") if seed]
    results = []
    about = surroundings()
    if asked.heavy:
        todo += [(heavy, asked.heavy_seed) for heavy in HEAVY]
    for name, seed in todo:
        results.append(measure(name, seed, rows, asked.pairs))
        print(json.dumps(results[-1]), flush=True)
        document = {**about, "row_cap": asked.row_cap, "dim": DIM, "results": results}
        document["multi_hot"] = sum(MULTI_HOT)
        asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return 1 if any(map(missed, results)) else 0


if __name__ == "__main__":
    raise SystemExit(main())

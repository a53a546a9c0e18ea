"""How long real runs last that a real probe planned: duration / min_duration, 1.02 .. 1.20 wanted.

    PYTHONPATH=benchmark/src python benchmark/bench/real_probes.py --runs 10 --min-duration 10

Stage performance as in the container, with the real LoadGen, on a demo's data. A run is LoadGen's
one query: its samples / its samples/s. What was run again because it ended early is counted, too.
The machine must be quiet: what the probe cannot foresee is no fault of it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import demo
from rounds import surroundings

LEAST, MOST = 1.02, 1.20


def measure(folder: Path, parameters: dict[str, Any], done: dict[str, Path]) -> dict[str, Any]:
    """One performance stage: its last LoadGen run and those before it."""
    demo.ask(folder, "performance", parameters, done)
    facts = demo.run(folder)["facts"]
    shutil.rmtree(folder)
    seconds = facts["samples_per_query"] / facts["samples_per_second"]
    return {
        "ratio": round(seconds / parameters["min_duration_seconds"], 4),
        "superseded": [
            round(run["seconds"] / parameters["min_duration_seconds"], 4)
            for run in facts["superseded_runs"]
        ],
        "probe_seconds": facts["probe"]["seconds"],
        "other_load_percent": facts["evidence"]["other_load_percent"],
    }


def main() -> None:
    """Prepare once, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--min-duration", type=int, default=10, help="seconds")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    parameters = {"row_cap": 20_000, "data_rows": 20_000}
    timed = {**parameters, "min_duration_seconds": asked.min_duration}
    print(json.dumps({**surroundings(), **timed}), flush=True)
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="dlrm-probes-") as scratch:
        done = demo.prepare(Path(scratch), "int8", **parameters)
        results = []
        for number in range(asked.runs):
            results.append(measure(Path(scratch) / f"run-{number}", timed, done))
            print(json.dumps(results[-1]), flush=True)
    ratios = [ratio for result in results for ratio in (*result["superseded"], result["ratio"])]
    within = sum(LEAST <= ratio <= MOST for ratio in ratios)
    summary = {"runs": len(ratios), "within": within, "median": statistics.median(ratios)}
    print(json.dumps({**summary, "least": min(ratios), "most": max(ratios)}))


if __name__ == "__main__":
    main()

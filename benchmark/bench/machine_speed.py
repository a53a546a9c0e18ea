"""The whole machine under LoadGen against what its cores do alone.

    PYTHONPATH=benchmark/src python benchmark/bench/machine_speed.py --precision int8 \\
        --recipe RECIPE.py --output machine_int8.json

In turn, several times: the engine on one core and nothing else; the engine on every core at once,
without LoadGen (what memory and clock take); stage performance, Offline and Server, as the product
runs it; and the recipe's arithmetic on every core, and on every core but one, as published. All
work on the same data set. The cores are those the stage takes. Rounds with other load do not count.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import crew
import demo
import numpy as np
from derived import ratios
from rounds import OtherLoad, enough, figure, write

from dlrm_bench.measure.loadgen import SERVER_LATENCY_SECONDS, SUMMARY, summary_fields
from dlrm_bench.measure.server import DEMO_MIN_QUERIES
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.serving import queue_model


class Stage:
    """Stage performance on these inputs, each time in a folder and process of its own."""

    def __init__(self, scratch: Path, done: Mapping[str, Path], parameters: dict[str, Any]) -> None:
        self._scratch, self._done, self._parameters = scratch, done, parameters
        self._numbers = itertools.count()

    def run(self, scenario: str, seconds: int) -> dict[str, Any]:
        """What LoadGen said, and what else the machine did meanwhile."""
        folder = self._scratch / f"{scenario}{next(self._numbers)}"
        asked = {**self._parameters, "scenario": scenario, "min_duration_seconds": seconds}
        demo.ask(folder, "performance", asked, self._done)
        try:
            facts = demo.run(folder)["facts"]
        except demo.StageFailed as failed:
            # As where no rate holds Server's latency; what else ran is unknown: no quiet round.
            return {"valid": False, "why": str(failed).splitlines()[-1], "other_load": 1.0}
        said = summary_fields((folder / "output" / SUMMARY).read_text(encoding="utf-8"))
        shutil.rmtree(folder)
        evidence = facts["evidence"]
        found = {
            "valid": said["Result is"] == "VALID" and facts["reference"]["passed"],
            "samples_per_second": float(
                said.get("Samples per second") or said["Completed samples per second"]
            ),
            "p99_ms": float(said["99.00 percentile latency (ns)"]) / 1e6,
            "workers_samples_per_second": facts["workers_samples_per_second"],
            "other_load": (evidence["other_load_percent"] + evidence["steal_percent"]) / 100,
            "superseded_runs": len(facts["superseded_runs"]),
            **{name: facts[name] for name in ("cores", "engine", "best_batch")},
        }
        if scenario == "offline":
            # Samples differ in pairs, and the engines' figures are pairs.
            pairs = facts["pairs_issued"] / facts["samples_per_query"]
            found["pairs_per_second"] = found["samples_per_second"] * pairs
        return found

    def ideal_queue(self, pairs_per_second: float, seconds: int) -> float:
        """Samples/s that a first-come-first-served queue of this speed holds, nothing beside it."""
        ideal = queue_model.Server(pairs_per_second, np.zeros(1))
        lengths = crew.sample_files(self._done["dataset"]).lengths
        return queue_model.highest_rate(
            ideal,
            lengths,
            lambda rate: max(DEMO_MIN_QUERIES, int(rate * seconds)),
            SERVER_LATENCY_SECONDS,
        )


def measured(engines: crew.Crew, cores: Sequence[int], seconds: float) -> tuple[float, float]:
    """Pairs a second of these members at once, and other load meanwhile."""
    load = OtherLoad(engines.pids)
    rate = engines.run(cores, seconds)
    return rate, load.share()


def one_round(
    number: int,
    stage: Stage,
    engines: crew.Crew,
    recipe: crew.Crew | None,
    cores: Sequence[int],
    seconds: int,
    server_seconds: int,
) -> dict[str, Any]:
    """Everything once; what comes first differs from round to round."""
    one: dict[str, Any] = {}
    loads: list[float] = []

    def alone(name: str, members: crew.Crew, on: Sequence[int]) -> None:
        rate, load = measured(members, on, seconds) if on else (0.0, 0.0)
        one[name] = round(rate, 1)
        loads.append(load)

    def under_loadgen(scenario: str, seconds: int) -> None:
        one[scenario] = stage.run(scenario, seconds)
        loads.append(one[scenario]["other_load"])

    todo: list[Callable[[], None]] = [
        functools.partial(alone, "one_core", engines, [cores[number % len(cores)]]),
        functools.partial(alone, "every_core", engines, cores),
        functools.partial(under_loadgen, "offline", seconds),
        functools.partial(under_loadgen, "server", server_seconds),
    ]
    if recipe:
        todo.append(functools.partial(alone, "recipe", recipe, cores))
        todo.append(functools.partial(alone, "recipe_but_one", recipe, cores[1:]))
    turn = number % len(todo)
    for do in todo[turn:] + todo[:turn]:
        do()
    if one["offline"]["valid"]:
        one["ideal_queue"] = stage.ideal_queue(one["offline"]["pairs_per_second"], server_seconds)
    found = ratios(one, len(cores), 1000 * SERVER_LATENCY_SECONDS)
    return {**one, "other_load": max(loads), "ratios": found}


def main() -> int:
    """0 when at least half of the rounds count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["int8", "fp32", "bf16"], default="int8")
    parser.add_argument("--recipe", type=Path, help="RECIPE.py of candidates.py")
    parser.add_argument("--recipe-batch", type=int, default=16384)
    parser.add_argument("--row-cap", type=int, default=100_000)
    parser.add_argument("--data-rows", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--server-seconds", type=int, default=300, help="of a Server run")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    rows = row_counts(asked.row_cap)
    with (
        tempfile.TemporaryDirectory(prefix="dlrm-machine-") as scratch,
        contextlib.ExitStack() as s,
    ):
        done = demo.prepare(Path(scratch), asked.precision, asked.row_cap, asked.data_rows)
        parameters = {
            "precision": asked.precision,
            "row_cap": asked.row_cap,
        }
        stage = Stage(Path(scratch), done, parameters)
        # Not counted: it warms the page cache and says which cores the product takes.
        first = stage.run("offline", asked.seconds)
        if "why" in first:
            raise SystemExit(first["why"])
        cores = first["cores"]
        model, dump = demo.model_file(done, asked.precision), done[demo.DUMP[0]] / demo.DUMP[1]
        make = functools.partial(crew.engine, asked.precision, model, rows)
        engines = s.enter_context(crew.Crew(make, done["dataset"], cores))
        recipe = None
        if asked.recipe:
            batch = asked.recipe_batch
            published = functools.partial(
                crew.published, asked.recipe, asked.precision, dump, rows, batch
            )
            recipe = s.enter_context(crew.Crew(published, done["dataset"], cores))
        raw = []
        for number in range(asked.rounds):
            lasting = asked.seconds, asked.server_seconds
            raw.append(one_round(number, stage, engines, recipe, cores, *lasting))
            print(json.dumps(raw[-1]), flush=True)
    names = dict.fromkeys(name for one in raw for name in one["ratios"])
    summary = {
        "ratios": {name: figure(raw, "ratios", name) for name in names},
        "offline_samples_per_second": figure(raw, "offline", "samples_per_second"),
        "server_samples_per_second": figure(raw, "server", "samples_per_second"),
        "server_p99_ms": figure(raw, "server", "p99_ms"),
    }
    write(
        asked.output,
        "machine",
        raw,
        precision=asked.precision,
        row_cap=asked.row_cap,
        data_rows=asked.data_rows,
        seconds=asked.seconds,
        server_seconds=asked.server_seconds,
        recipe_batch=asked.recipe_batch if asked.recipe else None,
        engine=first["engine"],
        workers=len(cores),
        summary=summary,
    )
    print(json.dumps(summary))
    return 0 if enough(raw) else 1


if __name__ == "__main__":
    raise SystemExit(main())

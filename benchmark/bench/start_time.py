"""Seconds from the start of stage performance to LoadGen's first query, files in the page cache.

    PYTHONPATH=benchmark/src python benchmark/bench/start_time.py --output start_time.json

The product's stage is run by itself (the container's start, a fraction of a second, is not in it)
and ended at its first query; status.json tells when each phase began. The first start of each size
only warms the page cache. From the phases of the largest size, and the growth from the smallest,
derived.official() extrapolates to the full model; its formula stands there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import demo
from crew import sample_files
from derived import official
from rounds import OtherLoad, enough, figure, session_seconds, write

from dlrm_bench.measure.loadgen import OFFICIAL_PERFORMANCE_SAMPLES
from dlrm_bench.measure.probe import PROBE_PAIRS, PROBE_SECONDS
from dlrm_bench.network.dlrm import DIM, TABLE_ROWS

#: OfflineRun says so when LoadGen has issued its query.
FIRST_QUERY = "measuring"
LOOK_SECONDS = 0.01
#: Of a row in the model file: fp32, or a byte each with scale and smallest value.
ROW_BYTES = {"int8": DIM + 8, "fp32": 4 * DIM, "bf16": 4 * DIM}


def start_once(folder: Path, parameters: dict[str, Any], done: Mapping[str, Path]) -> Any:
    """Seconds of each phase up to the first query, their sum, and other load meanwhile."""
    demo.ask(folder, "performance", parameters, done)
    load, began = OtherLoad(), time.monotonic()
    child = demo.start(folder, session=True)
    begins = [("starting", began)]
    try:
        while begins[-1][0] != FIRST_QUERY:
            time.sleep(LOOK_SECONDS)
            if child.poll() is not None:
                _, errors = child.communicate()
                raise SystemExit(f"The stage ended before its first query:\n{errors}")
            phase = demo.status(folder).get("phase", begins[-1][0])
            if phase != begins[-1][0]:
                begins.append((phase, time.monotonic()))
        other = load.share(session_seconds(child.pid))
    finally:
        child.kill()
        child.communicate()
    shutil.rmtree(folder)
    phases = {name: round(end - start, 3) for (name, start), (_, end) in itertools.pairwise(begins)}
    return {"seconds": round(begins[-1][1] - began, 3), "phases": phases, "other_load": other}


def medians(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of each phase over the rounds that count."""
    found = {}
    for name in rounds[0]["phases"]:
        of_phase = figure(rounds, "phases", name)
        if of_phase:
            found[name] = of_phase["median"]
    return found


def main() -> int:
    """0 when at least half of the rounds count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["int8", "fp32", "bf16"], default="int8")
    parser.add_argument("--row-caps", default="400000,100000", help="the last is the demo's")
    parser.add_argument("--data-rows", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    raw: list[dict[str, Any]] = []
    sizes: dict[int, dict[str, Any]] = {}
    for row_cap in map(int, asked.row_caps.split(",")):
        parameters = {"precision": asked.precision, "row_cap": row_cap}
        with tempfile.TemporaryDirectory(prefix="dlrm-start-") as scratch:
            done = demo.prepare(Path(scratch), asked.precision, row_cap, asked.data_rows)
            here = []
            for number in range(asked.rounds + 1):
                one = start_once(Path(scratch) / f"start{number}", parameters, done)
                here.append({"row_cap": row_cap, **one})
                print(json.dumps(here[-1]), flush=True)
            sizes[row_cap] = {
                "bytes": demo.model_file(done, asked.precision).stat().st_size,
                "pairs": sample_files(done["dataset"]).rows,
                "seconds": figure(here[1:], "seconds"),
                "phases": medians(here[1:]),
            }
        raw += here[1:]
    small, large = (sizes[pick(sizes)] for pick in (min, max))
    extrapolated = None
    if small["phases"] and large["phases"] and small is not large:
        full = {
            "bytes": sum(TABLE_ROWS) * ROW_BYTES[asked.precision],
            "pairs": round(OFFICIAL_PERFORMANCE_SAMPLES * demo.PAIRS_PER_SAMPLE),
            "probe_pairs": PROBE_PAIRS,
            "probe_seconds": PROBE_SECONDS["official"],
        }
        extrapolated = official(small, large, full)
    write(
        asked.output,
        "start",
        raw,
        precision=asked.precision,
        sizes=sizes,
        official=extrapolated,
    )
    print(json.dumps(extrapolated))
    return 0 if enough(raw) else 1


if __name__ == "__main__":
    raise SystemExit(main())

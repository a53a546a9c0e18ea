"""How fast stage dataset turns a user's log into the .bin files, beside a plain copy of the log.

    PYTHONPATH=benchmark/src python benchmark/bench/dataset_speed.py --output dataset_speed.json

Both run in this process, one after the other, several times, both end with their files on the
disk (fsync), and the ratio is taken pair by pair. Wall time wants a quiet machine; processor time
says what it costs. A log of 4,000,000 rows: in a short one the 128,000 calibration rows, which are
written on top of the scored half, weigh more than in the real one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import demo
from rounds import surroundings

from dlrm_bench.data.convert import SyntheticDay
from dlrm_bench.data.day import FILES, write_day_files
from dlrm_bench.network.dlrm import TABLE_ROWS
from dlrm_bench.stages import dataset


def convert(folder: Path, source: Path) -> None:
    """The whole stage, outputs synced."""
    folder.mkdir()
    (folder / "source").symlink_to(source)
    demo.ask(folder, "dataset", {"profile": "official"}, {})
    dataset.run(demo.context(folder))


def copy(folder: Path, source: Path) -> None:
    """A plain copy of the same files, synced."""
    folder.mkdir()
    for name in FILES:
        shutil.copyfile(source / name, folder / name)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())


def timed(what: Any, folder: Path, source: Path) -> tuple[float, float]:
    """Wall and processor seconds; what was written is removed."""
    wall, own = time.monotonic(), time.process_time()
    what(folder, source)
    took = time.monotonic() - wall, time.process_time() - own
    shutil.rmtree(folder)
    return took


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("dataset_speed.json"))
    asked = parser.parse_args()
    pairs = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="dlrm-speed-") as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        write_day_files(source, asked.rows, 8192, SyntheticDay(1, TABLE_ROWS))
        size = sum((source / name).stat().st_size for name in FILES)
        for number in range(asked.repeats):
            stage = timed(convert, Path(scratch) / f"stage{number}", source)
            plain = timed(copy, Path(scratch) / f"copy{number}", source)
            pairs.append({"stage": stage, "copy": plain})
            print(json.dumps(pairs[-1]), flush=True)
    ratios = [p["copy"][0] / p["stage"][0] for p in pairs]
    document = {
        **surroundings(),
        "load_average_before": load,
        "rows": asked.rows,
        "source_bytes": size,
        "wall_and_processor_seconds": pairs,
        "speed_of_a_copy": round(statistics.median(ratios), 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "processor_bytes_a_second": round(size / statistics.median(p["stage"][1] for p in pairs)),
    }
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(document["speed_of_a_copy"], document["processor_bytes_a_second"])


if __name__ == "__main__":
    main()

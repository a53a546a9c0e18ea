"""Peak memory and disk of the data stages, and of LoadGen's query set, at 1, 4 and 16 times a size.

    PYTHONPATH=benchmark/src python benchmark/bench/memory.py --output memory.json

Sampled every few milliseconds from /proc/PID/status: RssAnon (the process's own memory, which a
machine must have), RssFile (pages of mapped files, which the kernel takes back when it needs them)
and RssShmem (shared memory, where the query set lies). Disk is what lies in the stage's folder,
scratch included. A stage runs in a process of its own, as in the container. Query sets are loaded
in this process, two one after the other, as in an accuracy run. No quiet machine is needed: how
fast the data set is made is dataset_speed.py's to say. Each result is printed as soon as it is
there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import demo
import numpy as np
from rounds import surroundings

from dlrm_bench.data.convert import SyntheticDay
from dlrm_bench.data.day import write_day_files
from dlrm_bench.data.names import SAMPLE_NAMES
from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.data.trace import trace_text
from dlrm_bench.measure.loadgen import OFFICIAL_PERFORMANCE_SAMPLES
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS, TABLE_ROWS

SCALES = (1, 4, 16)
BASE_ROW_CAP, BASE_DATA_ROWS, BASE_LOG_ROWS, BASE_SAMPLES = 6_000, 500, 20_000, 200
SAMPLE_SECONDS = 0.005
#: The disk is looked at less often: 0.2 s.
LOOKS_A_DISK = 40
FIELDS = ("RssAnon", "RssFile", "RssShmem")
STAGES = ("weights", "dataset", "dump", "calibrate")


def memory(pid: int) -> dict[str, int]:
    """Bytes of FIELDS; empty once the process ended."""
    found = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name in FIELDS:
                found[name] = int(value.split()[0]) * 1024
    return found


def disk(folder: Path) -> int:
    """Bytes that the files below a folder take."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # Renamed meanwhile.
            total += path.lstat().st_blocks * 512
    return total


@contextmanager
def peaks(pid: int, folder: Path) -> Iterator[dict[str, int]]:
    """While the block runs: the most of each field of a process, and of the disk below a folder."""
    most, ended = {**dict.fromkeys(FIELDS, 0), "disk": 0}, threading.Event()

    def watch() -> None:
        for look in itertools.count():
            seen = memory(pid)
            if look % LOOKS_A_DISK == 0:
                seen["disk"] = disk(folder)
            most.update({field: max(most[field], value) for field, value in seen.items()})
            if ended.wait(SAMPLE_SECONDS):
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        ended.set()
        watching.join()
    most["disk"] = max(most["disk"], disk(folder))


def run(folder: Path) -> dict[str, Any]:
    """Run the stage asked for below a folder; its peaks, bytes written and seconds."""
    child = demo.start(folder)
    with peaks(child.pid, folder / "output") as most:
        document = demo.finish(child, folder)
    written = sum(output["bytes"] for output in document["outputs"])
    return {**most, "bytes_written": written, "seconds": document["facts"]["seconds"]}


def demo_stages(folder: Path, scale: int) -> Iterator[dict[str, Any]]:
    """weights, dataset (labels planted), dump, calibrate."""
    parameters = {"row_cap": BASE_ROW_CAP * scale, "data_rows": BASE_DATA_ROWS * scale}
    done: dict[str, Path] = {}
    for stage in STAGES:
        demo.ask(folder / stage, stage, parameters, done)
        yield {"what": stage, **parameters, **run(folder / stage)}
        done[stage] = folder / stage / "output"


def users_log(folder: Path, scale: int) -> Iterator[dict[str, Any]]:
    """dataset on a user's files."""
    rows = BASE_LOG_ROWS * scale
    (folder / "source").mkdir(parents=True)
    write_day_files(folder / "source", rows, 8192, SyntheticDay(1, TABLE_ROWS))
    demo.ask(folder, "dataset", {"profile": "official"}, {})
    yield {"what": "dataset, a user's files", "log_rows": rows, **run(folder)}


def query_sets(folder: Path, scale: int) -> Iterator[dict[str, Any]]:
    """Two sets of random pairs, cut into samples by MLCommons' trace."""
    samples = BASE_SAMPLES * scale
    files = write_samples(folder, int(2.2 * samples * demo.PAIRS_PER_SAMPLE))
    before = memory(os.getpid())
    with peaks(os.getpid(), folder) as most:
        pairs = max(load(files, range(at, at + samples)) for at in (0, samples))
    grown = {field: most[field] - before[field] for field in ("RssShmem", "RssAnon")}
    bytes_a_pair = round(grown["RssShmem"] / pairs, 2)
    found = {"what": "query set", "samples": samples, "pairs": pairs, **grown}
    official = bytes_a_pair * OFFICIAL_PERFORMANCE_SAMPLES * demo.PAIRS_PER_SAMPLE
    yield {**found, "bytes_a_pair": bytes_a_pair, "official_bytes": round(official)}


def load(files: SampleFiles, samples: range) -> int:
    """Pairs of one set, whose memory is given back as this returns."""
    loaded = QuerySet(files, samples, lambda _done, _total: None)
    time.sleep(4 * SAMPLE_SECONDS)
    loaded.close()
    return loaded.pairs


def write_samples(folder: Path, rows: int) -> SampleFiles:
    """Both .bin files and the trace of `rows` pairs."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    dense, sparse, trace = (folder / name for name in SAMPLE_NAMES)
    with dense.open("wb") as to_dense, sparse.open("wb") as to_sparse:
        for at in range(0, rows, 4096):
            count = min(4096, rows - at)
            to_dense.write(rng.random((count, DENSE_FEATURES), np.float32).tobytes())
            to_sparse.write(rng.integers(0, 100, (count, 1 + IDS), np.int32).tobytes())
    trace.write_text(trace_text(rows)[0])
    return SampleFiles(dense, sparse, trace)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("memory.json"))
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    results = []
    for scale, measure in itertools.product(SCALES, (demo_stages, users_log, query_sets)):
        with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="dlrm-memory-") as scratch:
            for found in measure(Path(scratch) / "here", scale):
                results.append({"scale": scale, **found})
                print(json.dumps(results[-1]), flush=True)
    document = {**surroundings(), "results": results}
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

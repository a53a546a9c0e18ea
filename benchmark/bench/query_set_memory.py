"""What LoadGen's set takes in memory and how fast it is loaded: 1, 4, 16 times a sample count.

    PYTHONPATH=benchmark/src python benchmark/bench/query_set_memory.py

The two .bin files are random, cut by MLCommons' trace. As in an accuracy run two sets follow one
another, each let go before the next. Memory is the peak of RssShmem (the set) and RssAnon (all
else) of this process, sampled every few milliseconds. Needs no quiet machine, but for the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from memory import proc
from rounds import surroundings

from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.data.trace import TRACE_NAME, trace_text
from dlrm_bench.network.dlrm import DENSE_FEATURES, IDS

SCALES = (1, 4, 16)
BASE_SAMPLES = 200
#: The official performance set, and the pairs of a mean sample of the official trace.
OFFICIAL_SAMPLES, MEAN_PAIRS = 204_800, 89_137_319 / 330_067
SAMPLE_SECONDS = 0.005
FIELDS = ("RssShmem", "RssAnon")


def write_files(folder: Path, rows: int) -> SampleFiles:
    """Both .bin files and the trace of `rows` pairs."""
    rng = np.random.default_rng(1)
    dense, sparse = folder / "dense.bin", folder / "label_sparse.bin"
    with dense.open("wb") as to_dense, sparse.open("wb") as to_sparse:
        for at in range(0, rows, 4096):
            count = min(4096, rows - at)
            to_dense.write(rng.random((count, DENSE_FEATURES), np.float32).tobytes())
            to_sparse.write(rng.integers(0, 100, (count, 1 + IDS), np.int32).tobytes())
    text, _ = trace_text(rows)
    (folder / TRACE_NAME).write_text(text)
    return SampleFiles(dense, sparse, folder / TRACE_NAME)


@contextmanager
def peaks() -> Iterator[dict[str, int]]:
    """The most of each field above what it was at the beginning, bytes."""
    before = proc_self()
    most, ended = dict.fromkeys(FIELDS, 0), threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            now = proc_self()
            most.update({field: max(most[field], now[field] - before[field]) for field in FIELDS})

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        ended.set()
        looking.join()


def proc_self() -> dict[str, int]:
    """This process's fields, bytes."""
    found = proc(os.getpid(), "status")
    return {field: found[field] for field in FIELDS}


def load(files: SampleFiles, samples: list[int]) -> tuple[int, int, float]:
    """(pairs, bytes, seconds) of one set, which is let go again."""
    started = time.perf_counter()
    loaded = QuerySet(files, samples, lambda _done, _total: None)
    seconds = time.perf_counter() - started
    time.sleep(4 * SAMPLE_SECONDS)
    found = loaded.pairs, loaded.bytes, seconds
    loaded.close()
    return found


def measure(scale: int, scratch: Path) -> dict[str, Any]:
    """Two sets of BASE_SAMPLES x scale samples, one after the other."""
    wanted = BASE_SAMPLES * scale
    with tempfile.TemporaryDirectory(dir=scratch, prefix="dlrm-query-set-") as folder:
        files = write_files(Path(folder), int(2.2 * wanted * MEAN_PAIRS))
        with peaks() as most:
            first = load(files, list(range(wanted)))
            second = load(files, list(range(wanted, 2 * wanted)))
    pairs, size = max(first[0], second[0]), max(first[1], second[1])
    return {
        "samples": wanted,
        "pairs": pairs,
        "bytes_of_the_larger_set": size,
        "bytes_a_pair": round(size / pairs, 2),
        "peak_shared": most["RssShmem"],
        "peak_anonymous_beside_it": most["RssAnon"],
        "seconds_of_the_first": round(first[2], 2),
    }


def main() -> None:
    """Measure, print, extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    print(json.dumps(surroundings()))
    results = [measure(scale, asked.scratch) for scale in SCALES]
    for result in results:
        print(json.dumps(result))
    (few, many) = results[-2:]
    grown = many["peak_shared"] - few["peak_shared"]
    a_pair = grown / (many["pairs"] - few["pairs"])
    official = a_pair * OFFICIAL_SAMPLES * MEAN_PAIRS
    print(
        json.dumps(
            {"measured_bytes_a_pair": round(a_pair, 2), "official_gb": round(official / 1e9, 2)}
        )
    )


if __name__ == "__main__":
    main()

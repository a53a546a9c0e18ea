"""Peak memory, peak disk and seconds of the data stages at 1, 4 and 16 times a row count.

    PYTHONPATH=benchmark/src python benchmark/bench/memory.py --output memory.json

Each stage runs in a process of its own, as in the container. Sampled every few milliseconds from
/proc/PID/status: RssAnon (the process's own memory, which a machine must have) and RssFile (pages
of mapped files, which the kernel takes back when it needs them); VmHWM is the kernel's own peak of
both together. Disk is what lies in the stage's folder, scratch included. Neither needs a quiet
machine; seconds and the ratio to a copy do. Each result is printed as soon as it is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from demo import ask
from rounds import surroundings

from dlrm_bench.data.convert import SyntheticDay
from dlrm_bench.data.day import FILES, write_day_files
from dlrm_bench.network.dlrm import MULTI_HOT, TABLE_ROWS, row_counts

SCALES = (1, 4, 16)
BASE_ROW_CAP, BASE_DATA_ROWS, BASE_LOG_ROWS = 6_000, 500, 20_000
SAMPLE_SECONDS = 0.005
DISK_SAMPLE_SECONDS = 0.2
FIELDS = ("RssAnon", "RssFile", "RssShmem", "VmHWM")
STAGES = ("weights", "dataset", "dump", "calibrate")


def proc(pid: int, file: str) -> dict[str, int]:
    """Numbers of /proc/PID/status (bytes) or /proc/PID/io; empty once it ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[key] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def disk(folder: Path) -> int:
    """Bytes that the files below a folder take."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # Renamed meanwhile.
            total += path.lstat().st_blocks * 512
    return total


def run(folder: Path) -> dict[str, Any]:
    """Run the stage asked for below a folder; its peaks, seconds and bytes."""
    child = subprocess.Popen(
        [sys.executable, "-m", "dlrm_bench", "stage"],
        env={**os.environ, "DLRM_ROOT": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    peaks = dict.fromkeys(FIELDS, 0)
    read = peak_disk = 0
    looked = time.monotonic()
    while child.poll() is None:
        status = proc(child.pid, "status")
        for field in FIELDS:
            peaks[field] = max(peaks[field], status.get(field, 0))
        read = max(read, proc(child.pid, "io").get("rchar", 0))
        if time.monotonic() - looked > DISK_SAMPLE_SECONDS:
            peak_disk = max(peak_disk, disk(folder / "output"))
            looked = time.monotonic()
        time.sleep(SAMPLE_SECONDS)
    _, errors = child.communicate()
    if child.returncode:
        raise SystemExit(f"a stage failed:\n{errors}")
    document = json.loads((folder / "output" / "stage.json").read_text())
    return {
        "peak_anonymous": peaks["RssAnon"],
        "peak_mapped_files": peaks["RssFile"],
        "peak_shared": peaks["RssShmem"],
        "peak_vmhwm": peaks["VmHWM"],
        "peak_disk": max(peak_disk, disk(folder / "output")),
        "bytes_read_by_calls": read,
        "bytes_written": sum(o["bytes"] for o in document["outputs"]),
        "seconds": document["facts"]["seconds"],
    }


def demo_stages(folder: Path, scale: int) -> list[dict[str, Any]]:
    """weights, dataset (labels planted), dump, calibrate at one scale."""
    parameters = {
        "row_cap": BASE_ROW_CAP * scale,
        "data_rows": BASE_DATA_ROWS * scale,
    }
    done: dict[str, Path] = {}
    results = []
    for stage in STAGES:
        root = folder / stage
        ask(root, stage, parameters, done)
        measured = run(root)
        done[stage] = root / "output"
        results.append({"stage": stage, "scale": scale, **parameters, **measured})
        print(json.dumps(results[-1]), flush=True)
    return results


def official_log(folder: Path, scale: int, repeats: int) -> dict[str, Any]:
    """dataset on a user's files, beside a plain copy of them; interleaved, medians."""
    rows = BASE_LOG_ROWS * scale
    source = folder / "source"
    source.mkdir(parents=True)
    write_day_files(source, rows, 8192, SyntheticDay(1, TABLE_ROWS))
    size = sum((source / name).stat().st_size for name in FILES)
    runs, copies = [], []
    for repeat in range(repeats):
        root = folder / f"run{repeat}"
        root.mkdir()
        (root / "source").symlink_to(source)
        ask(root, "dataset", {"profile": "official"}, {})
        runs.append(run(root))
        copies.append(copy_seconds(source, folder / "copy"))
        shutil.rmtree(root)
    seconds = sorted(r["seconds"] for r in runs)[repeats // 2]
    copying = sorted(copies)[repeats // 2]
    result = max(runs, key=lambda r: r["peak_anonymous"])
    return {
        "stage": "dataset, a user's files",
        "scale": scale,
        "log_rows": rows,
        **result,
        "seconds": seconds,
        "source_bytes": size,
        "copy_seconds": round(copying, 3),
        "speed_of_a_copy": round(copying / seconds, 3),
    }


def copy_seconds(source: Path, target: Path) -> float:
    """Copy the files and sync them, as the stage syncs what it writes."""
    target.mkdir()
    started = time.monotonic()
    for name in FILES:
        shutil.copyfile(source / name, target / name)
        with (target / name).open("rb") as file:
            os.fsync(file.fileno())
    took = time.monotonic() - started
    shutil.rmtree(target)
    return took


def full_model(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Extrapolation: anonymous memory along the line of the two largest scales, never below."""
    tables = sum(TABLE_ROWS)
    found: dict[str, Any] = {}
    for stage in dict.fromkeys(r["stage"] for r in results):
        points = [r for r in results if r["stage"] == stage]
        x = [float(r.get("log_rows") or sum(row_counts(int(r["row_cap"])))) for r in points]
        y = [float(r["peak_anonymous"]) for r in points]
        target = 178_274_637.0 if points[0].get("log_rows") else float(tables)
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2]) if len(points) > 1 else 0.0
        grown = y[-1] + max(slope, 0.0) * (target - x[-1])
        found[stage] = {
            "bytes_a_row": round(slope, 3),
            "anonymous_if_the_slope_is_real": round(grown),
            "anonymous_largest_measured": round(max(y)),
        }
    pairs = math.ceil(204_800 * 89_137_319 / 330_067)
    found["query_set_204800_samples"] = pairs * (4 * 13 + 4 * sum(MULTI_HOT) + 4)
    found["int8_model"] = tables * 136
    found["fp32_model"] = tables * 512
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("memory.json"))
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=asked.scratch, prefix="dlrm-memory-") as scratch:
        for scale in SCALES:
            folder = Path(scratch) / str(scale)
            results += demo_stages(folder, scale)
            shutil.rmtree(folder)
            results.append(official_log(folder, scale, asked.repeats))
            shutil.rmtree(folder)
            print(json.dumps(results[-1]), flush=True)
    ordered = sorted(results, key=lambda r: (r["stage"], r["scale"]))
    document = {**surroundings(), "results": ordered, "full_model": full_model(ordered)}
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document["full_model"], indent=1))


if __name__ == "__main__":
    main()

"""What hashing and manifests cost, beside the time of the stages that made the files.

    PYTHONPATH=benchmark/src python benchmark/bench/safety_cost.py --root /srv/dlrm

Takes the newest result of each stage below ROOT and does again, on the same files, what a stage
does for safety: sha256 over every output's bytes (from memory: reading is not hashing), stage.json
written, synced and renamed. The stages' own time is what their stage.json says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rounds import commit

from dlrm_bench.frame.hashed_file import BLOCK_BYTES, fsync_directory


def newest_results(root: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Stage -> its folder and stage.json, the newest of each."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in root.glob("stages/*/*/stage.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        known = found.get(document["stage"])
        if known is None or known[1]["finished_at"] < document["finished_at"]:
            found[document["stage"]] = (path.parent, document)
    return found


def hash_seconds(folder: Path, document: dict[str, Any]) -> float:
    """sha256 over every output, block by block as it is written; reading is not counted."""
    spent = 0.0
    for output in document["outputs"]:
        digest = hashlib.sha256()
        with (folder / output["name"]).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                started = time.perf_counter()
                digest.update(block)
                spent += time.perf_counter() - started
        if digest.hexdigest() != output["sha256"]:
            raise SystemExit(f"{folder / output['name']} is not what its manifest says")
    return spent


def manifest_seconds(document: dict[str, Any], scratch: Path) -> float:
    """stage.json written, synced, renamed, its folder synced."""
    started = time.perf_counter()
    partial = scratch / "stage.json.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(scratch / "stage.json")
    fsync_directory(scratch)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/srv/dlrm"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("safety_cost.json"))
    asked = parser.parse_args()
    stages = {}
    with tempfile.TemporaryDirectory(dir=asked.root, prefix=".safety-") as scratch:
        for name, (folder, document) in sorted(newest_results(asked.root).items()):
            repeats = [
                (hash_seconds(folder, document), manifest_seconds(document, Path(scratch)))
                for _ in range(asked.repeats)
            ]
            stages[name] = {
                "stage_seconds": document["facts"]["seconds"],
                "output_bytes": sum(output["bytes"] for output in document["outputs"]),
                "hash_seconds": [round(one[0], 4) for one in repeats],
                "manifest_seconds": [round(one[1], 4) for one in repeats],
            }
            print(name, json.dumps(stages[name]), flush=True)
    total = sum(one["stage_seconds"] for one in stages.values())
    safety = sum(
        statistics.median(one[what])
        for one in stages.values()
        for what in ("hash_seconds", "manifest_seconds")
    )
    document = {
        "command": " ".join(sys.argv),
        "commit": commit(),
        "load_average": os.getloadavg()[0],
        "stages": stages,
        "share": round(safety / total, 4),
    }
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{safety:.2f} s of {total:.0f} s of stages: {100 * safety / total:.2f} %")


if __name__ == "__main__":
    main()

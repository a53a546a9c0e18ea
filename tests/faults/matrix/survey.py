"""Runs on a host with its python3. Prints what lies below the root, as JSON."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document


def stage(folder: Path) -> dict[str, Any]:
    document = read(folder / "stage.json") or {}
    attempts = [read(path / "exit.json") for path in folder.glob("attempts/*")]
    ended = [attempt for attempt in attempts if attempt is not None]
    outputs = document.get("outputs", [])
    return {
        "run_id": document.get("run_id"),
        "whole": len([one for one in ended if one["exit_code"] == 0 and not one["cause"]]),
        "causes": sorted(one["cause"] for one in ended if one["cause"]),
        "promised": {output["name"]: output["sha256"] for output in outputs},
        "found": {
            output["name"]: sha256(folder / output["name"])
            for output in outputs
            if (folder / output["name"]).is_file()
        },
    }


def survey(root: Path) -> dict[str, Any]:
    listed = ["docker", "ps", "--all", "--quiet", "--filter", "label=dlrm-fleet.stage"]
    left = [*root.rglob("*partial*"), *root.glob("stages/*/*/attempts/*/scratch")]
    return {
        "stages": {
            f"{folder.parent.name}/{folder.name}": stage(folder)
            for folder in root.glob("stages/*/*")
            if folder.is_dir()
        },
        "runs": {
            lock.parent.name: (lock.parent / "closed.json").exists()
            for lock in root.glob("runs/*/run.lock")
        },
        "partial": [str(path) for path in left],
        "containers": subprocess.run(
            listed, capture_output=True, text=True, check=True
        ).stdout.split(),
    }


json.dump(survey(Path(sys.argv[1])), sys.stdout)

"""What a host tells the storage node about one run: its state and its files. Only reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...base.rights import as_owner_of
from ...base.times import utc_now
from ...results import on_host
from ...runs.holder import machine_id
from ...runs.runs import COLLECT_NAME, MEASURED_STAGE, Runs, state as run_state
from ...wire.documents import read_strictly
from ...wire.waiting_run import collect


def answer(root: Path, run_id: str) -> dict[str, Any]:
    """{state, deadline, finished, artifacts, stages, run_files}; `state`: see runs.state."""
    with as_owner_of(root):
        return _answer(root, run_id)


def _answer(root: Path, run_id: str) -> dict[str, Any]:
    runs = Runs(root)
    lock = runs.read(run_id)
    path = root / "runs" / run_id / COLLECT_NAME
    asked = collect(read_strictly(path), f"cannot use {str(path)!r}")
    found = on_host.find(
        root,
        asked["catalogue"],
        asked["request"],
        run_id,
        asked["image"]["name"],
        os.uname().machine,
    )
    return {
        "state": run_state(lock, runs.is_closed(run_id), utc_now(), machine_id()),
        "deadline": lock["deadline"],
        "finished": MEASURED_STAGE in found.stages,
        "artifacts": on_host.artifacts(found, os.uname().machine),
        "stages": on_host.shared_stages(found, asked["request"]),
        "run_files": on_host.run_files(found),
    }

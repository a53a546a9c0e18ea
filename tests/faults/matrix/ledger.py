"""docs/faults.jsonl: every trial's outcome, with date and commit. The last one counts.

Lines are written one by one, so that a killed session loses no trial that has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.engine import REPOSITORY

from .trial import Outcome

# tests/long/faults.sh sets it. Other sessions write nothing.
ASKED = "DLRM_FAULTS_LEDGER"
# Leaves out trials that the ledger has as recovered, to continue an ended session.
REST = "DLRM_FAULTS_REST"
PATH = REPOSITORY / "docs/faults.jsonl"
_one_at_a_time = threading.Lock()


def commit() -> str:
    """The work tree's commit, marked if there are uncommitted changes."""
    git = ["git", "-C", str(REPOSITORY)]
    found = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    changed = [*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs/faults.*"]
    return found.stdout.strip() + ("-changed" if subprocess.run(changed).returncode else "")


def note(outcome: Outcome, at_commit: str, path: Path = PATH) -> None:
    if not os.environ.get(ASKED):
        return
    line = {
        "trial": outcome.trial,
        "how": outcome.how,
        "said": outcome.said,
        "problem": outcome.problem[:400],
        "seconds": round(outcome.seconds),
        "notes": outcome.notes,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": at_commit,
    }
    with _one_at_a_time, path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def newest(path: Path = PATH) -> dict[str, dict[str, Any]]:
    """The last line of each trial, by its name."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["trial"]: line for line in lines}


def is_wanted(trial: str) -> bool:
    """Whether to run it: not recovered yet, or all trials are wanted."""
    if not os.environ.get(REST):
        return True
    line = newest().get(trial)
    return line is None or bool(line["problem"])

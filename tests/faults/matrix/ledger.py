"""docs/faults.jsonl: every trial as it ended, with date and commit; the last one counts.

Written line by line, so that hours of trials survive the end of the session that made them.
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

# Set by tests/long/faults.sh: a session that only tests writes nothing.
ASKED = "DLRM_FAULTS_LEDGER"
# Leaves out what the ledger has as recovered: to go on where a session ended.
REST = "DLRM_FAULTS_REST"
PATH = REPOSITORY / "docs/faults.jsonl"
_one_at_a_time = threading.Lock()


def commit() -> str:
    """Of the work tree, marked when what is tried is not what was committed."""
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
    """Not recovered yet, or everything is asked for."""
    if not os.environ.get(REST):
        return True
    line = newest().get(trial)
    return line is None or bool(line["problem"])

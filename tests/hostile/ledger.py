"""docs/hostile.jsonl: how many lies were told and refused, with date, commit and command."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# tests/long/hostile.sh sets it. Other sessions write nothing.
ASKED = "DLRM_MUTATIONS_LEDGER"
COMMAND = "tests/long/hostile.sh"


def commit() -> str:
    """The work tree's commit, marked if there are uncommitted changes."""
    git = ["git", "-C", str(REPOSITORY)]
    found = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    changed = [*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs/hostile.jsonl"]
    return found.stdout.strip() + ("-changed" if subprocess.run(changed).returncode else "")


def note(test: str, tried: int, refused: int, seed: int | None = None) -> None:
    """One line for a test that has passed; `refused` of `tried` lies, the others were valid."""
    path = os.environ.get(ASKED)
    if not path:
        return
    line = {
        "test": test,
        "tried": tried,
        "refused": refused,
        "got_through": 0,
        "seed": seed,
        "command": COMMAND,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
    }
    with Path(path).open("a") as file:
        file.write(json.dumps(line) + "\n")

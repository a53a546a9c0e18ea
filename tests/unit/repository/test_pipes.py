"""No script's pipe closes early: the writer would die of it, at times with a traceback."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
# Readers that may end before their input does.
EARLY = re.compile(r"\|\s*(head\b|grep\s+-[a-zA-Z]*[qm]|sed\s+(-n\s+)?'?[0-9]*q|awk\s.*\bexit\b)")


def scripts() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.sh", "*.sh.j2", "Makefile", ".ci/run", "benchmark/Dockerfile"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [REPOSITORY / name for name in listed.stdout.splitlines()]


def test_no_pipe_closes_early() -> None:
    found = scripts()
    assert len(found) > 10
    early = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in found
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if EARLY.search(line)
    ]
    assert not early


def test_the_search_finds_them() -> None:
    for line in ("x | head -n 1", "x | grep -q y", "x | sed 1q", "x | awk '{ print; exit }'"):
        assert EARLY.search(line), line

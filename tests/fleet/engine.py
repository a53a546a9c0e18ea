"""This machine's container engine by its command line, and waiting for conditions."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
# These bounds catch what hangs. They are wide, because two loaded cores are slow.
PATIENCE_SECONDS = 1800.0

Found = TypeVar("Found")


class HarnessError(RuntimeError):
    """The test harness failed, not the product."""


def command(*arguments: str, check: bool = True, text: str | None = None) -> str:
    """stdout of a command; raises HarnessError with its stderr."""
    ended = subprocess.run(
        arguments, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    if check and ended.returncode != 0:
        said = ended.stderr.strip() or ended.stdout.strip()
        raise HarnessError(f"{' '.join(arguments[:8])}: exit {ended.returncode}: {said[-2000:]}")
    return ended.stdout


def docker(*arguments: str, check: bool = True, text: str | None = None) -> str:
    return command("docker", *arguments, check=check, text=text)


def wait_until(
    condition: Callable[[], Found], what: str, timeout: float = PATIENCE_SECONDS, pause: float = 0.1
) -> Found:
    """The condition's first true value; raises HarnessError if there is none in time."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise HarnessError(f"waited {timeout:.0f} s in vain until {what}")
        time.sleep(pause)

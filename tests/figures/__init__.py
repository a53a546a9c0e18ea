"""What docs/storage.md and docs/clouds.md say of speed, measured: python -m figures."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ansible.module_utils

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "tests/faults"))
ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))


def say(**values: object) -> None:
    """One JSON document a line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def seconds_of(do: Callable[[], object]) -> float:
    started = time.monotonic()
    do()
    return time.monotonic() - started

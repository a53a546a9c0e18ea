"""benchmark/bench/ is a folder of scripts, not a package: its modules are found by its path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmark" / "bench"))

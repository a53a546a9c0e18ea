"""The product's own tables, as its inventories give them to modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

_BENCHMARK = Path(__file__).resolve().parent.parent / "benchmark"
PRECISIONS: dict[str, Any] = yaml.safe_load(
    (_BENCHMARK / "src/dlrm_bench/precisions.yml").read_text()
)
CATALOGUE: dict[str, Any] = {
    **json.loads((_BENCHMARK / "stages.json").read_text()),
    "precisions": PRECISIONS,
}

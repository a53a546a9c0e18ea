"""The table of precisions, precisions.yml, as the container's code reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Model:
    """The file a precision is computed from: its stage, its name there, whether memory nodes may
    hold copies of it."""

    stage: str
    file: str
    resident: bool

    @property
    def is_fp32(self) -> bool:
        """The fp32 dump itself: plain PyTorch can work its answers out again."""
        return self.stage == "dump"


@dataclass(frozen=True)
class Precision:
    """One entry; precisions.yml describes the fields."""

    model: Model
    engines: Sequence[str]
    tolerance: float
    auc_gate: float
    host: dict[str, Any]
    quantization: str
    marks: Sequence[str]


def read(path: Path) -> dict[str, Precision]:
    """Name -> entry, in the file's order; TypeError names a field that is missing or unknown."""
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Precision(**{**e, "model": Model(**e["model"])}) for name, e in table.items()}


PRECISIONS = read(Path(__file__).parent.parent / "precisions.yml")

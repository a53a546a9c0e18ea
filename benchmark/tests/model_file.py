"""Writes a model file with any content, sound or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file


def write(path: Path, content: dict[str, Any]) -> Path:
    with path.open("wb") as file:
        streamed = {
            name: StreamedTensor.of(v) if isinstance(v, torch.Tensor) else v
            for name, v in content.items()
        }
        write_torch_file(HashedFile(file), streamed)
    return path

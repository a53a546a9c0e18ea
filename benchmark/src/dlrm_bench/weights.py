"""The model's weights in a snapshot: names, checks, and reading them as the dump's 51 tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from dlrm_bench.contract import StageError
from dlrm_bench.model import weight_shapes
from dlrm_bench.snapshot import METADATA, Snapshot

FOLDER = "model_weights"
SHOWN_PROBLEMS = 5
_RULES = (
    (r"sparse_arch\.(.*embedding_bags)\.(\d+)\.weight", r"model.sparse_arch.\1.t_cat_\2.weight"),
    (r"inter_arch\.crossnet\.MLPs\.V(\d)\.weight", r"model.inter_arch.crossnet.V_kernels.\1"),
    (r"inter_arch\.crossnet\.MLPs\.W(\d)\.weight", r"model.inter_arch.crossnet.W_kernels.\1"),
    (r"inter_arch\.crossnet\.MLPs\.W(\d)\.bias", r"model.inter_arch.crossnet.bias.\1"),
    (r"over_arch\.model\._mlp\.8\.(\w+)", r"model.over_arch.model.1.\1"),
)


def snapshot_name(name: str) -> str:
    """Torchrec's name, as in the snapshot, of a tensor of the dump."""
    for pattern, replacement in _RULES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    # The dump numbers an MLP's layers with the ReLU between them, torchrec without.
    matched = re.fullmatch(r"(dense_arch\.model|over_arch\.model)\._mlp\.(\d)\.(\w+)", name)
    if matched is None:
        raise ValueError(f"'{name}' is not a tensor of DLRM-DCNv2")
    inner = ".0" if matched[1] == "over_arch.model" else ""
    return f"model.{matched[1]}{inner}._mlp.{int(matched[2]) // 2}._linear.{matched[3]}"


def open_weights(folder: Path, rows: Sequence[int], more_rows: bool = False) -> Snapshot:
    """A snapshot that holds every tensor of the model, complete; else each gap is named."""
    snapshot = Snapshot(folder)
    wanted = {snapshot_name(name): shape for name, shape in weight_shapes(rows).items()}
    problems = snapshot.problems(wanted, more_rows)
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        left = len(problems) - SHOWN_PROBLEMS
        raise StageError(
            f"weights '{folder}' are not complete",
            shown + (f"; and {left} more" if left > 0 else ""),
            "Fetch what is missing again and run again",
        )
    return snapshot


def load_weights(snapshot: Snapshot, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """All 51 tensors in memory, under the dump's names."""
    return {
        name: torch.from_numpy(snapshot.read(snapshot_name(name), shape))
        for name, shape in weight_shapes(rows).items()
    }


def find_snapshot(folder: Path) -> Path:
    """The snapshot in a folder the user named: itself or its model_weights/."""
    for candidate in (folder, folder / FOLDER):
        if (candidate / METADATA).is_file():
            return candidate
    raise StageError(
        f"no weights in '{folder}'",
        f"neither it nor its '{FOLDER}' holds {METADATA}",
        "Give the folder fetched from MLCommons' model_weights as weights_source",
    )

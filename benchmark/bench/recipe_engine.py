"""The product's int8 engine for the recipe's own harness, which runs both on batches it makes.

    PYTHONPATH=benchmark/src:benchmark/bench taskset -c 0 python RECIPE.py --precision int8 \\
        --batches 400,1024,4096 --engine benchmark/bench/recipe_engine.py

In the image's builder stage. A second opinion on speed.py: pairs, clock and order are the
harness'. Ids come as 26 int64 vectors; putting them side by side is timed too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from candidates import product

from dlrm_bench.frame.hashed_file import HashedFile
from dlrm_bench.int8.fit import fit, quantize_rows, small_content
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import MULTI_HOT, table_name
from dlrm_bench.weights.torch_file import StreamedTensor, write_torch_file

Batch = tuple[torch.Tensor, list[torch.Tensor]]


def side_by_side(ids: list[torch.Tensor]) -> torch.Tensor:
    """int32 [pairs, 214] of the tables' vectors [pairs * hot]."""
    columns = zip(ids, MULTI_HOT, strict=True)
    return torch.cat([of_table.view(-1, hot) for of_table, hot in columns], 1).int()


def write_model(
    path: Path,
    weights: dict[str, torch.Tensor],
    rows: Sequence[int],
    calibration: Sequence[Batch],
) -> None:
    """The file stage calibrate would write of these weights, fitted to these batches."""
    tables = [weights[table_name(table)].clone() for table in range(len(rows))]
    dense = torch.cat([batch[0] for batch in calibration])
    ids = torch.cat([side_by_side(batch[1]) for batch in calibration])
    fitted = fit(weights, tables, dense, ids)
    content = small_content(fitted, rows, source_sha256="")
    for table, folded in enumerate(tables):
        content[f"{table_name(table)}.rows"] = torch.from_numpy(quantize_rows(folded))
    with path.open("wb") as file:
        write_torch_file(
            HashedFile(file),
            {
                name: StreamedTensor.of(value) if isinstance(value, torch.Tensor) else value
                for name, value in content.items()
            },
        )


def make(
    weights: dict[str, torch.Tensor], rows: Sequence[int], calibration: Sequence[Batch]
) -> Callable[[torch.Tensor, list[torch.Tensor]], Array]:
    """What the harness asks for: scores [pairs] of dense [pairs, 13] and 26 id vectors."""
    with tempfile.TemporaryDirectory(prefix="dlrm-recipe-") as scratch:
        path = Path(scratch) / "dlrm_int8.pt"
        write_model(path, weights, rows, calibration)
        engine = product("int8", path, rows)
    print(f"engine: {engine.name}", flush=True)
    return lambda dense, ids: engine.forward(dense.numpy(), side_by_side(ids).numpy())

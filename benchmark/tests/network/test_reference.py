"""The plain forward agrees with the engine's model, and tells when a weight does not."""

from __future__ import annotations

import torch

from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.network.dlrm import IDS, Fp32Model, row_counts, weight_shapes
from dlrm_bench.network.reference import plain_fp32

TOLERANCE = PRECISIONS["fp32"].tolerance


def test_two_forwards_written_apart_agree() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = row_counts(100)
    weights = {}
    for name, shape in weight_shapes(rows).items():
        spread = 0.3 if len(shape) == 1 else shape[1] ** -0.5
        weights[name] = spread * torch.randn(shape, generator=generator)
    dense = torch.rand(64, 13, generator=generator)
    ids = torch.randint(0, 3, (64, IDS), generator=generator, dtype=torch.int32)
    wanted = plain_fp32(weights, dense, ids)
    assert wanted.std() > 0.01
    assert (Fp32Model(weights).forward(dense, ids) - wanted).abs().max() <= TOLERANCE
    for name, weight in weights.items():
        spoiled = {**weights, name: weight + 0.05}
        assert (plain_fp32(spoiled, dense, ids) - wanted).abs().max() > TOLERANCE, name

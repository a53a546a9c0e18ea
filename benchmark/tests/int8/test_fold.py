"""Folding keeps the model's function; rounding with feedback improves the output."""

from __future__ import annotations

import pytest
import torch

from dlrm_bench.int8 import fold, rounding
from dlrm_bench.network.dlrm import (
    CROSS_LAYERS,
    IDS,
    RANK,
    TABLES,
    WIDTH,
    Fp32Model,
    cross_name,
    table_name,
    weight_shapes,
)

ROWS = (7,) * TABLES


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=made) * shape[-1] ** -0.5
        for name, shape in weight_shapes(ROWS).items()
    }


def logits(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    made = torch.Generator().manual_seed(1)
    dense, ids = torch.randn(50, 13, generator=made), torch.randint(0, 7, (50, IDS), generator=made)
    with torch.no_grad():
        return Fp32Model(weights).logits(dense, ids)


def with_tables(weights: dict[str, torch.Tensor], scales: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights scaled as calibrate scales them."""
    changed = {**weights, **fold.scaled(weights, scales)}
    for table in range(TABLES):
        name = table_name(table)
        changed[name] = weights[name] * fold.table_scales(scales, table)
    return changed


def test_a_hadamard_matrix_is_orthogonal() -> None:
    matrix = fold.hadamard(RANK)
    assert set((matrix * RANK**0.5).round(decimals=4).flatten().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(RANK), atol=1e-5, rtol=0)


def test_rotation_changes_the_weights_and_not_the_logits(weights: dict[str, torch.Tensor]) -> None:
    changed = fold.rotated(weights)
    assert len(changed) == 2 * CROSS_LAYERS
    assert not torch.allclose(
        changed[f"{cross_name('V', 1)}.weight"], weights[f"{cross_name('V', 1)}.weight"]
    )
    torch.testing.assert_close(
        logits({**weights, **changed}), logits(weights), atol=1e-5, rtol=1e-4
    )


def test_rotation_spreads_a_single_large_weight(weights: dict[str, torch.Tensor]) -> None:
    name = f"{cross_name('V', 0)}.weight"
    spiked = {**weights, name: weights[name].clone()}
    spiked[name][3, 4] = 1.0
    assert fold.rotated(spiked)[name].abs().max() < 0.2


def test_column_scales_change_the_weights_and_not_the_logits(
    weights: dict[str, torch.Tensor],
) -> None:
    scales = torch.exp2(torch.randint(-2, 3, (WIDTH,), generator=torch.Generator().manual_seed(2)))
    changed = with_tables(weights, scales)
    torch.testing.assert_close(logits(changed), logits(weights), atol=1e-4, rtol=1e-3)


def test_a_column_that_decides_every_range_is_scaled_down() -> None:
    made = torch.Generator().manual_seed(3)
    x, weight = torch.randn(2048, WIDTH, generator=made), torch.randn(64, WIDTH, generator=made)
    x[:, 1000] *= 30
    scales = fold.column_scales(x, weight)
    assert scales[1000] < 0.5 * scales.median()
    assert scales.min() >= 1 / fold.LARGEST
    assert scales.max() <= fold.LARGEST
    # The bottom MLP's columns have a range of their own, and none of them stands out.
    assert scales[:128].max() < 2 * scales[:128].min()
    exponents = torch.log2(scales) * fold.GRID
    torch.testing.assert_close(exponents, exponents.round(), atol=1e-3, rtol=0)


def test_a_pair_of_extreme_values_does_not_decide_for_the_others() -> None:
    made = torch.Generator().manual_seed(4)
    x, weight = torch.randn(2048, WIDTH, generator=made), torch.randn(64, WIDTH, generator=made)
    alone = fold.column_scales(x, weight)
    x[7] *= 1000
    torch.testing.assert_close(fold.column_scales(x, weight), alone, atol=0.1, rtol=0.1)


def test_nearest_codes_are_within_half_a_step() -> None:
    weight = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    scale = rounding.row_scales(weight)
    codes = rounding.nearest(weight, scale)
    assert codes.dtype == torch.int8
    assert torch.all((codes * scale[:, None] - weight).abs() <= scale[:, None] * 0.501)


def test_feedback_halves_the_error_of_outputs_whose_inputs_go_together() -> None:
    made = torch.Generator().manual_seed(5)
    # After a ReLU and of low rank, as the over arch's inputs are.
    x = torch.relu(torch.randn(4000, 20, generator=made) @ torch.randn(20, 300, generator=made))
    weight = torch.randn(40, 300, generator=made)
    scale, wanted = rounding.row_scales(weight), x @ weight.t()
    errors = []
    for codes in (
        rounding.nearest(weight, scale),
        rounding.with_feedback(weight, scale, x.t() @ x / len(x)),
    ):
        assert codes.dtype == torch.int8
        assert codes.shape == weight.shape
        errors.append(float((x @ (codes * scale[:, None]).t() - wanted).square().mean()))
    assert errors[1] < 0.25 * errors[0]


def test_feedback_survives_inputs_that_are_never_there() -> None:
    weight = torch.randn(8, 200, generator=torch.Generator().manual_seed(6))
    scale = rounding.row_scales(weight)
    codes = rounding.with_feedback(weight, scale, torch.zeros(200, 200))
    assert torch.equal(codes, rounding.nearest(weight, scale))

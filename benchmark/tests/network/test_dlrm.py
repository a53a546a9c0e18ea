"""The fp32 forward compared with the formulas written out, and the model's shapes."""

from __future__ import annotations

import math

import numpy as np
import torch

from dlrm_bench.data import synthetic
from dlrm_bench.network.dlrm import (
    IDS,
    MULTI_HOT,
    TABLE_ROWS,
    Fp32Model,
    check_shapes,
    row_counts,
    table_name,
    weight_shapes,
)

ROWS = row_counts(50)


def made_weights() -> dict[str, torch.Tensor]:
    weights = {n: torch.from_numpy(v) for n, v in synthetic.dense_weights(1, ROWS).items()}
    for table, count in enumerate(ROWS):
        weights[table_name(table)] = torch.from_numpy(
            next(synthetic.table_rows(1, table, 0, count))
        )
    return weights


def by_hand(w: dict[str, np.ndarray], dense: np.ndarray, ids: np.ndarray) -> float:
    """The score of one pair in float64, with one loop for each formula."""

    def fc(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0.0))

    x = dense
    for n in (0, 2, 4):
        x = np.maximum(fc(f"dense_arch.model._mlp.{n}", x), 0)
    parts, at = [x], 0
    for table, hot in enumerate(MULTI_HOT):
        parts.append(w[table_name(table)][ids[at : at + hot]].sum(0))
        at += hot
    x0 = x = np.concatenate(parts)
    for n in range(3):
        v = w[f"inter_arch.crossnet.MLPs.V{n}.weight"] @ x
        x = x0 * fc(f"inter_arch.crossnet.MLPs.W{n}", v) + x
    for n in (0, 2, 4, 6):
        x = np.maximum(fc(f"over_arch.model._mlp.{n}", x), 0)
    return 1 / (1 + math.exp(-fc("over_arch.model._mlp.8", x)[0]))


def test_forward_equals_the_formulas() -> None:
    weights = made_weights()
    double = {name: value.double().numpy() for name, value in weights.items()}
    dense = synthetic.dense_features(5, 0, 3)
    rng = np.random.default_rng(0)
    limits = np.repeat(ROWS, MULTI_HOT)
    ids = (rng.random((3, IDS)) * limits).astype(np.int32)
    found = Fp32Model(weights).forward(torch.from_numpy(dense), torch.from_numpy(ids))
    wanted = [by_hand(double, dense[n].astype(float), ids[n]) for n in range(3)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-4)


def test_full_size_is_the_published_model() -> None:
    shapes = weight_shapes(row_counts(None))
    assert len(shapes) == 51
    assert sum(TABLE_ROWS) == 204_184_588
    assert sum(MULTI_HOT) == 214
    multiplications = sum(
        math.prod(s) for n, s in shapes.items() if "bags" not in n and len(s) == 2
    )
    assert round(multiplications / 1e6, 2) == 16.03


def test_a_wrong_state_dict_is_named() -> None:
    weights = made_weights()
    assert check_shapes(weights, ROWS) == ""
    assert "has shape [50, 128], wanted [60, 128]" in check_shapes(weights, row_counts(60))
    bias = weights.pop("dense_arch.model._mlp.0.bias")
    assert check_shapes(weights, ROWS) == "tensor 'dense_arch.model._mlp.0.bias' is missing"
    weights["dense_arch.model._mlp.0.bias"] = bias
    weights["extra"] = bias
    assert "'extra' does not belong" in check_shapes(weights, ROWS)


def test_synthetic_logits_have_their_spread() -> None:
    weights = made_weights()
    dense = torch.from_numpy(synthetic.dense_features(9, 0, 2048))
    ids = np.concatenate([synthetic.table_ids(9, t, 0, 2048, ROWS[t]) for t in range(26)], 1)
    logits = Fp32Model(weights).logits(dense, torch.from_numpy(ids))
    assert abs(float(logits.std()) - synthetic.LOGIT_STD) < 0.2
    assert abs(float(logits.mean()) - synthetic.LOGIT_MEAN) < 0.5


def test_a_table_does_not_depend_on_how_it_is_cut() -> None:
    whole = np.concatenate(list(synthetic.table_rows(3, 4, 0, 10_000)))
    parts = [
        np.concatenate(list(synthetic.table_rows(3, 4, a, a + 2500)))
        for a in range(0, 10_000, 2500)
    ]
    assert np.array_equal(whole, np.concatenate(parts))
    other = np.concatenate(list(synthetic.table_rows(4, 4, 0, 10_000)))
    assert not np.array_equal(whole, other)

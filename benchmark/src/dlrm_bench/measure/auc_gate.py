"""The AUC gate: what an accuracy run must reach. Its share stands in precisions.yml (auc_gate)."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlrm_bench.measure import scorer
from dlrm_bench.network.arrays import Array

#: What MLCommons publishes for the fp32 model on the full data set.
PUBLISHED_AUC = 0.8031
#: Demo's least soft AUC, however weak its planted labels are.
DEMO_LEAST = 0.80


def official_target(share: float) -> float:
    """The AUC to reach with the user's labels, to the seven digits that MLPerf writes."""
    return round(share * PUBLISHED_AUC, 7)


def judge(
    share: float, demo: bool, area: float, scores: Array, planted: Array | None
) -> dict[str, Any]:
    """The gate: official on AUC; demo on the soft AUC of the probabilities its labels come from.

    `share`: what must be kept of the fp32 model's AUC. Demo wants DEMO_LEAST or this share of what
    the fp32 model itself reaches, whichever is higher.
    """
    soft = None if planted is None else scorer.soft_auc(scores, planted)
    found: dict[str, Any] = {"metric": "auc", "target": official_target(share), "soft_auc": soft}
    if planted is not None:
        ceiling = scorer.soft_auc(np.asarray(planted), planted)
        found.update(soft_auc_fp32=ceiling, retention=soft / ceiling if soft else 0.0)
        if demo:
            found.update(metric="soft_auc", target=max(DEMO_LEAST, share * ceiling))
    elif demo:
        found.update(target=DEMO_LEAST)
    measured = soft if found["metric"] == "soft_auc" else area
    found["passed"] = bool(measured is not None and measured >= found["target"])
    return found

"""The AUC gate: what an accuracy run must reach. Its share stands in precisions.yml (auc_gate)."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlrm_bench.frame.errors import StageError
from dlrm_bench.measure import scorer
from dlrm_bench.measure.interval import around, influence, pairs_needed
from dlrm_bench.network.arrays import Array

#: Samples of the full data set; MLPerf's gate is on these, not on any others.
OFFICIAL_SAMPLES = 330_067

#: What MLCommons publishes for the fp32 model on the full data set.
PUBLISHED_AUC = 0.8031
#: Demo's least soft AUC, however weak its planted labels are.
DEMO_LEAST = 0.80
#: Of fewer pairs the interval is not known, either: it takes their spread for everybody's. A demo's
#: least data_rows give as many.
LEAST_PAIRS = 1000


def official_target(share: float) -> float:
    """The AUC to reach with the user's labels, to the seven digits that MLPerf writes."""
    return round(share * PUBLISHED_AUC, 7)


def judge(
    share: float, demo: bool, area: float, scores: Array, labels: Array, planted: Array | None
) -> dict[str, Any]:
    """The accuracy gate: metric, target, `passed` and how sure that is, as facts for stage.json.

    Profile official is judged by the AUC. Profile demo is judged by the soft AUC against `planted`,
    the probabilities that its labels are drawn from: it must reach DEMO_LEAST and `share` of the
    fp32 model's own soft AUC. `scores` and `planted`: float32 [pairs]; `labels`: 0 or 1 [pairs];
    `area`: the AUC, 0..1.
    """
    target = DEMO_LEAST if demo else official_target(share)
    soft = None if planted is None else scorer.soft_auc(scores, planted)
    found: dict[str, Any] = {"metric": "auc", "target": target, "soft_auc": soft}
    measured, spread = area, influence(scores, labels)
    found["auc_interval"] = _shown(*around(area, spread))
    conditions = [(target, spread)]
    if planted is not None and soft is not None:
        ceiling = scorer.soft_auc(np.asarray(planted), planted)
        own = influence(scores, planted)
        found.update(soft_auc_fp32=ceiling, retention=soft / ceiling)
        found["soft_auc_interval"] = _shown(*around(soft, own))
        if demo:
            measured, target = soft, max(DEMO_LEAST, share * ceiling)
            found.update(metric="soft_auc", target=target)
            # fp32's soft AUC is of the same pairs: what both models lose on a pair cancels out.
            paired = own - share * influence(np.asarray(planted), planted)
            conditions = [(DEMO_LEAST, own), (share * ceiling, paired)]
    found["passed"] = bool(measured >= target)
    found["gate"] = _gate(measured, conditions)
    return found


def _gate(measured: float, conditions: list[tuple[float, Array]]) -> dict[str, Any]:
    """The condition that decides: one that is surely missed, else the one nearest to be missed.

    asked: what it wants; low and high: the 95 % interval of what was measured; pairs_needed: from
    how many pairs on that interval leaves `asked` outside.
    """
    count = len(conditions[0][1])
    intervals = [(asked, *around(measured, spread)) for asked, spread in conditions]
    asked, low, high = min(intervals, key=lambda one: (one[2] >= one[0], one[1] - one[0]))
    if count < LEAST_PAIRS:
        return {"asked": asked, "low": 0.0, "high": 1.0, "pairs_needed": LEAST_PAIRS}
    return {
        "asked": asked,
        **_shown(low, high),
        "pairs_needed": pairs_needed(count, low, high, asked),
    }


def _shown(low: float, high: float) -> dict[str, float]:
    """An AUC lies in 0..1, an interval of few pairs may not."""
    return {"low": max(low, 0.0), "high": min(high, 1.0)}


def check_enough(planted: Array) -> None:
    """StageError where the pairs are too few to tell whether fp32 itself reaches DEMO_LEAST.

    `planted`: float32 [pairs]. No model of fewer bits can be told on these pairs, either.
    """
    area, spread = scorer.soft_auc(planted, planted), influence(planted, planted)
    low, high = around(area, spread)
    few = len(planted) < LEAST_PAIRS
    if not few and not low < DEMO_LEAST <= high:
        return
    wanted = LEAST_PAIRS if few else pairs_needed(len(planted), low, high, DEMO_LEAST)
    raise StageError(
        f"the {len(planted)} pairs that the click log gives are too few for the AUC gate",
        f"fp32's own soft AUC of them lies between {low:.3f} and {high:.3f} (95 %), and the gate "
        f"asks for {DEMO_LEAST:.2f}; fewer than {LEAST_PAIRS} pairs never tell",
        "Give another click log or another seed, the soft AUC of this one is too near to the gate"
        if wanted is None
        else f"Half of the rows are scored: give {2 * wanted} rows or more (a longer data_source, "
        "or data_rows)",
    )

"""The score of an accuracy run: what run.json keeps of it, whether it passes, whether it can tell.

The container measures score and interval (benchmark's measure/auc_gate.py, measure/interval.py).
"""

from __future__ import annotations

from typing import Any

from ..base.lenient import as_dict, as_number, facts_of
from . import rules

# Stages of earlier releases give no intervals: their records stay as they are.
KEPT = (
    *("auc", "soft_auc", "metric", "target", "passed", "samples", "pairs", "retention"),
    *("auc_interval", "soft_auc_interval", "gate"),
)

Document = dict[str, Any]


def read(stage: Document | None, reasons: list[str]) -> Document | None:
    """run.json's `accuracy`; None where the stage does not say its score, and a reason why."""
    if stage is None:
        return None
    facts = facts_of(stage)
    wrong = [name for name in ("auc", "target") if as_number(facts.get(name)) is None]
    wrong += ["metric"] if facts.get("metric") not in ("auc", "soft_auc") else []
    wrong += ["passed"] if not isinstance(facts.get("passed"), bool) else []
    if wrong:
        found = ", ".join(f"{name}={facts.get(name)!r}" for name in wrong)
        reasons.append(f"stage.json of the accuracy run does not say its score: found {found}.")
        return None
    return {name: facts[name] for name in KEPT if name in facts}


def undecided(accuracy: Document | None, profile: str) -> list[str]:
    """A sentence if the gate lies inside the score's interval; empty if the pairs can tell.

    MLPerf's gate is on one set of samples. On the whole of it the score is exact.
    """
    gate = as_dict((accuracy or {}).get("gate"))
    if accuracy is None or not gate or _is_whole(accuracy, profile):
        return []
    asked, low, high = gate["asked"], gate["low"], gate["high"]
    if not low < asked <= high:
        return []
    needed = gate.get("pairs_needed")
    tell = "Only other data can tell" if needed is None else f"About {needed} pairs can tell"
    return [
        f"Too few pairs: {accuracy['metric']} of {accuracy.get('pairs')} pairs lies between "
        f"{low:.5f} and {high:.5f} (95 %), and {asked:.5f} is asked. {tell}; half of the click "
        "log's rows are scored."
    ]


def reasons(accuracy: Document, profile: str) -> list[str]:
    """Why the score does not count; without what the pairs cannot tell."""
    found = []
    metric, target = accuracy["metric"], accuracy["target"]
    score = as_number(accuracy.get(metric))
    missed = score is None or not accuracy["passed"] or score < target
    if missed and not (score is not None and undecided(accuracy, profile)):
        said = "nothing" if score is None else f"{score:.5f}"
        found.append(f"Accuracy must reach {metric} {target:.5f}, found {said}.")
    if profile == "official" and not _is_whole(accuracy, profile):
        samples = accuracy.get("samples")
        found.append(
            f"Accuracy must be of all {rules.ACCURACY_SAMPLES} samples, found {samples!r}."
        )
    return found


def _is_whole(accuracy: Document, profile: str) -> bool:
    return profile == "official" and accuracy.get("samples") == rules.ACCURACY_SAMPLES

"""What a measured host says about its measurement: numbers in their range, texts of one short line.

A field that is missing, or of a type that the judge gives a reason for, is left to the judge.
"""

from __future__ import annotations

import math
from typing import Any

from ..base.lenient import as_dict, as_number, facts_of
from .fields import Fields

# No rate, count or time of ours comes near it.
MOST = 10**18
PERCENT = 10**6
LINE = 1024
EVIDENCE_NUMBERS = (
    *("steal_percent", "other_load_percent", "mean_frequency_mhz", "throttled_percent"),
    "quota_cores",
)
COMPARED_NUMBERS = ("best_batch", "workers", "pairs_of_a_part", "queries_put_back")
COUNTS = ("pairs_issued", "pairs_computed", "failed_inferences", "samples_per_second")


def number(fields: Fields, name: str, low: float, high: float) -> float:
    """Finite, from `low` to `high`; Malformed for anything else."""
    value = as_number(fields.values.get(name))
    if value is None or not is_in(value, low, high):
        raise fields.bad(name, f"a number from {low:g} to {high:g}")
    return value


def number_or_none(fields: Fields, name: str, low: float, high: float) -> float | None:
    """As number(); None where the field is missing or null."""
    return None if fields.values.get(name) is None else number(fields, name, low, high)


def is_in(value: float, low: float, high: float) -> bool:
    """Also of integers that no float can hold."""
    return (isinstance(value, int) or math.isfinite(value)) and low <= value <= high


def check_score(fields: Fields) -> None:
    """The score of an accuracy run: in its stage.json and, equal to it, in run.json."""
    for name in ("auc", "target"):
        _in_range(fields, name, 0, 1)
    for name in ("soft_auc", "soft_auc_fp32"):
        number_or_none(fields, name, 0, 1)
    for name in ("samples", "pairs", "retention"):
        number_or_none(fields, name, 0, MOST)
    for part in ("auc_interval", "soft_auc_interval", "gate"):
        if part in fields.values:
            interval = fields.object(part)
            for name in ("low", "high"):
                number(interval, name, 0, 1)
    if "gate" in fields.values:
        gate = fields.object("gate")
        number(gate, "asked", 0, 1)
        if gate.values.get("pairs_needed") is not None:
            gate.integer("pairs_needed", 0, MOST)


def check_accuracy(document: Any) -> None:
    """stage.json of an accuracy run."""
    what = "cannot use stage.json of the accuracy run"
    facts = Fields(facts_of(document), what, "its facts")
    check_score(facts)
    _check_compared(facts, document)


def check_performance(document: Any) -> None:
    """stage.json of a performance run."""
    what = "cannot use stage.json of the performance run"
    facts = Fields(facts_of(document), what, "its facts")
    for name in COUNTS:
        _in_range(facts, name, 0, MOST)
    _check_compared(facts, document)
    _line_or_none(facts, "quantization")
    _line_or_none(_part(facts, "versions"), "torch")
    evidence = _part(facts, "evidence")
    for name in EVIDENCE_NUMBERS:
        # A counter of the kernel may run backwards by a tick.
        _in_range(evidence, name, -PERCENT, PERCENT)
    _in_range(evidence, "major_faults", 0, MOST)
    reference = _part(facts, "reference")
    _line_or_none(reference, "against")
    for name in ("tolerance", "max_abs_difference"):
        number_or_none(reference, name, 0, MOST)
    if facts.values.get("placement"):
        facts.object("placement")


def check_audit(document: Any) -> None:
    """stage.json of an audit run."""
    facts = Fields(facts_of(document), "cannot use stage.json of the audit run", "its facts")
    for name in ("test", "said"):
        _line_or_none(facts, name)
    for name in ("compared_samples", "compared_pairs", "differing"):
        number_or_none(facts, name, 0, MOST)


def published(fields: Fields) -> dict[str, Any]:
    """Whether the files of stage weights or dataset are MLCommons' own; {} where it does not say.

    Malformed unless that is true, false or null, and what tells it one line.
    """
    found: dict[str, Any] = {}
    if "published" in fields.values:
        null = fields.is_null("published")
        found["published"] = None if null else fields.boolean("published")
    if "published_by" in fields.values:
        found["published_by"] = fields.line("published_by", LINE)
    return found


def check_host(document: Any, what: str = "cannot use host.json", place: str = "it") -> None:
    """What figures are divided by, and what tables show of a machine."""
    host = Fields(document, what, place)
    cpu = _part(host, "cpu")
    _line_or_none(cpu, "model")
    for name in ("allowed_cores", "allowed_threads", "allowed_sockets"):
        number_or_none(cpu, name, 0, 10**6)
    number_or_none(cpu, "quota_cores", 0, 10**6)
    number_or_none(_part(host, "memory"), "total_gib", 0, MOST)
    _line_or_none(_part(host, "machine"), "instance_type")


def _check_compared(facts: Fields, document: Any) -> None:
    """What must be the same in accuracy and performance run stands in reasons and in run.json."""
    _line_or_none(facts, "engine")
    for name in COMPARED_NUMBERS:
        number_or_none(facts, name, 0, MOST)
    stage = as_dict(document)
    provenance = Fields(as_dict(stage.get("provenance")), facts.what, "its provenance")
    _line_or_none(provenance, "image_id")
    inputs = stage.get("inputs")
    for one in inputs if isinstance(inputs, list) else []:
        if isinstance(one, dict):
            _line_or_none(Fields(one, facts.what, "an input"), "sha256")


def _part(fields: Fields, name: str) -> Fields:
    """An object in it; without fields where there is none."""
    return Fields(as_dict(fields.values.get(name)), fields.what, f"{name!r} of {fields.place}")


def _in_range(fields: Fields, name: str, low: float, high: float) -> None:
    if as_number(fields.values.get(name)) is not None:
        number(fields, name, low, high)


def _line_or_none(fields: Fields, name: str) -> None:
    if fields.values.get(name) is not None:
        fields.line(name, LINE)

"""The one judge: whether a run counts, why not, and how quiet the machine was.

Pure: documents and log texts in, a judgement out. Called on the host (dlrm_result_info) and again
on the storage node (dlrm_record); an outsider can repeat it from the run's folder. Its sentences
stand in run.json, which must not change when an older run is recorded again: do not reword them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import FleetError
from ..base.lenient import as_dict, as_number, facts_of
from ..wire import facts as wire_facts
from ..wire.strict_json import Malformed
from . import loadgen_log, rules, score, two_logs
from .comparability import comparability

# A run above these (percent of CPU time) is noisy: it counts, but it is no baseline.
NOISY_STEAL_PERCENT = 1.0
NOISY_OTHER_LOAD_PERCENT = 5.0
NOISY_THROTTLED_PERCENT = 1.0


MODEL_STAGES = ("dump", "calibrate")
EVIDENCE_NAMES = ("steal_percent", "other_load_percent", "major_faults", "mean_frequency_mhz")

Document = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What a run left: stage.json documents and LoadGen's logs as text; None: missing."""

    request: Document
    accuracy: Document | None = None
    performance: Document | None = None
    audit: Document | None = None
    summary_text: str | None = None
    detail_text: str | None = None
    accuracy_detail_text: str | None = None
    host: Document = field(default_factory=dict)
    failure: Document | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def parameters(self) -> Document:
        return as_dict(self.request.get("parameters"))

    @property
    def profile(self) -> str:
        return str(self.parameters.get("profile", ""))


@dataclass(frozen=True)
class Judgement:
    """The parts of run.json that are judged (docs/contracts/run.schema.json)."""

    performance: Document | None
    accuracy: Document | None
    verdict: Document
    comparability: Document


def judge(evidence: Evidence) -> Judgement:
    try:
        wire_facts.check_host(evidence.host)
        for check, document in (
            (wire_facts.check_accuracy, evidence.accuracy),
            (wire_facts.check_performance, evidence.performance),
            (wire_facts.check_audit, evidence.audit),
        ):
            if document is not None:
                check(document)
        return _judge(evidence)
    except Malformed as error:
        return not_judged(evidence, str(error))


def not_judged(evidence: Evidence, why: str) -> Judgement:
    """Of a host that says what cannot be used: it failed, and nothing it says counts."""
    early = [_early_end(as_dict(evidence.failure))] if evidence.failure is not None else []
    grade, facts = grade_of(None)
    reasons = [*early, *evidence.unreadable, why]
    return Judgement(
        performance=None,
        accuracy=None,
        verdict={"status": "failed", "reasons": reasons, "grade": grade, "evidence": facts},
        comparability=comparability(evidence.request, None),
    )


def _judge(evidence: Evidence) -> Judgement:
    reasons = list(evidence.unreadable)
    performance, logs = _read_performance(evidence, reasons)
    accuracy = score.read(evidence.accuracy, reasons)
    undecided = score.undecided(accuracy, evidence.profile)
    status = _status(evidence, performance, accuracy, reasons)
    if performance is not None and logs is not None:
        reasons += _loadgen_reasons(evidence, performance, logs[1])
        reasons += two_logs.disagreement(*logs)
        reasons += _inference_reasons(evidence)
    if evidence.accuracy is not None:
        reasons += _accuracy_reasons(evidence, accuracy)
    reasons += _audit_reasons(evidence)
    if status == "passed" and (reasons or undecided):
        # What the pairs cannot tell is neither passed nor failed: it was measured in part.
        status = "failed" if reasons else "interrupted"
    reasons += undecided
    grade, facts = grade_of(evidence.performance)
    return Judgement(
        performance=performance,
        accuracy=accuracy,
        verdict={"status": status, "reasons": reasons, "grade": grade, "evidence": facts},
        comparability=comparability(evidence.request, evidence.performance, evidence.audit),
    )


def grade_of(performance: Document | None) -> tuple[str, Document]:
    """(quiet, noisy or unknown; what was seen while the stage measured)."""
    seen = as_dict(facts_of(performance).get("evidence"))
    facts: Document = {**dict.fromkeys(EVIDENCE_NAMES), **seen}
    steal, other = as_number(facts["steal_percent"]), as_number(facts["other_load_percent"])
    noise = []
    if steal is not None and steal > NOISY_STEAL_PERCENT:
        noise.append(
            f"steal {steal:.1f} % of CPU time, at most {NOISY_STEAL_PERCENT:.1f} % is quiet"
        )
    if other is not None and other > NOISY_OTHER_LOAD_PERCENT:
        noise.append(f"other load {other:.1f} %, at most {NOISY_OTHER_LOAD_PERCENT:.1f} % is quiet")
    throttled = as_number(facts.get("throttled_percent"))
    if throttled is not None and throttled > NOISY_THROTTLED_PERCENT:
        quota = as_number(facts.get("quota_cores"))
        size = "" if quota is None else f" of {quota:g} cores"
        noise.append(
            f"a CPU quota{size} took {throttled:.1f} % of CPU time,"
            f" at most {NOISY_THROTTLED_PERCENT:.1f} % is quiet"
        )
    faults = as_number(facts["major_faults"])
    if faults:
        noise.append(f"{faults:.0f} major page faults in the timed part, 0 is quiet")
    facts["noise"] = noise
    if noise:
        return "noisy", facts
    return ("unknown" if steal is None or other is None else "quiet"), facts


def _read_performance(
    evidence: Evidence, reasons: list[str]
) -> tuple[Document | None, tuple[loadgen_log.Summary, loadgen_log.Detail] | None]:
    """Adds a reason for each log that is missing or cannot be trusted."""
    if evidence.performance is None:
        return None, None
    before = len(reasons)
    for name, text in (
        (loadgen_log.SUMMARY_NAME, evidence.summary_text),
        (loadgen_log.DETAIL_NAME, evidence.detail_text),
    ):
        if text is None:
            reasons.append(f"{name!r} of the performance run is missing.")
    if len(reasons) > before:
        return None, None
    try:
        summary = loadgen_log.parse_summary(evidence.summary_text or "")
        detail = loadgen_log.parse_detail(evidence.detail_text or "")
        performance = loadgen_log.performance(summary, detail)
    except Malformed:
        raise
    except FleetError as error:
        reasons.append(str(error))
        return None, None
    facts = facts_of(evidence.performance)
    pairs = as_number(facts.get("pairs_computed"))
    seconds = performance["duration_ms"] / 1000
    performance["pairs_per_second"] = pairs / seconds if pairs is not None and seconds > 0 else None
    if facts.get("placement"):  # Older stages do not say: their records stay as they are.
        performance["placement"] = facts["placement"]
    performance.update(_per_part(performance["samples_per_second"], evidence.host))
    return performance, (summary, detail)


def _per_part(rate: float, host: Document) -> Document:
    """The figure per physical core, hardware thread and socket the process may use."""
    cpu = as_dict(host.get("cpu"))
    parts = {"core": "allowed_cores", "vcpu": "allowed_threads", "socket": "allowed_sockets"}
    result: Document = {}
    for part, name in parts.items():
        count = as_number(cpu.get(name))
        result[f"samples_per_second_per_{part}"] = rate / count if count else None
    return result


def _status(
    evidence: Evidence,
    performance: Document | None,
    accuracy: Document | None,
    reasons: list[str],
) -> str:
    """The run's status before its numbers are judged. Adds the reason of an early end."""
    phase = _phase(as_dict(evidence.failure))
    # A lost connection does not change a run that the host measured to its end: the storage node's
    # own visit never hears of it, and both must come to the same verdict.
    measured = performance is not None and accuracy is not None
    if evidence.failure is not None and not (phase == "unreachable" and measured):
        reasons.insert(0, _early_end(evidence.failure))
        return "unreachable" if phase == "unreachable" else "failed"
    if evidence.accuracy is None and evidence.performance is None:
        reasons.append("Neither the accuracy nor the performance run left a result.")
        return "missing"
    undecided = score.undecided(accuracy, evidence.profile)
    if accuracy is not None and not accuracy["passed"] and not undecided:
        return "failed"
    for name, document in (("accuracy", evidence.accuracy), ("performance", evidence.performance)):
        if document is None:
            reasons.append(f"The {name} run did not end: its stage.json is missing.")
            return "interrupted"
    return "passed" if performance is not None and accuracy is not None else "interrupted"


def _phase(failure: Document) -> str:
    return str(failure.get("phase", "") or "run")


def _early_end(failure: Document) -> str:
    return f"{_phase(failure)}: {failure.get('message', '') or 'no message was left'}"


def _loadgen_reasons(
    evidence: Evidence, performance: Document, detail: loadgen_log.Detail
) -> list[str]:
    reasons = []
    if not performance["valid"] or detail.values.get("result_validity", "VALID") != "VALID":
        why = detail.values.get("result_invalid_reason", "") or "it gives no reason"
        reasons.append(f"LoadGen calls the result INVALID: {str(why).strip()}")
    elif performance["samples_per_second"] <= 0:
        reasons.append("A valid result must have more than 0 samples per second, found 0.")
    if performance["errors"]:
        first = performance["errors"][0]
        count = len(performance["errors"])
        reasons.append(
            f"LoadGen's detail log must hold no error, found {count}; the first: {first}"
        )
    reasons += _duration_reasons(evidence, performance)
    reasons += rules.latency_reasons(performance)
    mode = detail.values.get("effective_test_mode")
    if mode != "PerformanceOnly":
        reasons.append(f"LoadGen's mode must be 'PerformanceOnly', found {mode!r}.")
    wanted = str(evidence.parameters.get("scenario", ""))
    found = str(detail.values.get("effective_scenario", ""))
    if found.lower() != wanted.lower():
        reasons.append(f"LoadGen's scenario must be {wanted!r}, found {found!r}.")
    if evidence.profile == "official":
        reasons += rules.official_reasons(performance, detail)
    return reasons


def _duration_reasons(evidence: Evidence, performance: Document) -> list[str]:
    reasons = []
    asked = as_number(evidence.parameters.get("min_duration_seconds"))
    wanted = rules.MIN_DURATION_SECONDS * 1000 if asked is None else asked * 1000
    effective, measured = performance["min_duration_ms"], performance["duration_ms"]
    if effective < wanted:
        reasons.append(
            f"LoadGen's min_duration must be the requested {wanted / 1000:g} s, "
            f"found {effective / 1000:g} s."
        )
    if measured < wanted:
        reasons.append(
            f"The run must last at least {wanted / 1000:g} s, it lasted {measured / 1000:.3f} s."
        )
    return reasons


def _inference_reasons(evidence: Evidence) -> list[str]:
    """Every pair LoadGen asked for must have been computed, each time it was asked."""
    reasons = []
    facts = facts_of(evidence.performance)
    issued, computed = (as_number(facts.get(name)) for name in ("pairs_issued", "pairs_computed"))
    if issued is None or computed is None:
        reasons.append(
            "stage.json of the performance run must say pairs_issued and pairs_computed, "
            f"found {facts.get('pairs_issued')!r} and {facts.get('pairs_computed')!r}."
        )
    elif issued <= 0 or issued != computed:
        reasons.append(
            f"Pairs computed must equal pairs issued: {issued:.0f} issued, {computed:.0f} computed."
        )
    failed = facts.get("failed_inferences", 0)
    if failed != 0:
        reasons.append(f"No inference may fail, {failed!r} did.")
    reference = facts.get("reference")
    if isinstance(reference, dict) and reference.get("passed") is not True:
        reasons.append(
            f"Answers given under LoadGen must equal {reference.get('against')} within "
            f"{reference.get('tolerance')}, found a difference of "
            f"{reference.get('max_abs_difference')}."
        )
    faults = as_number(as_dict(facts.get("evidence")).get("major_faults"))
    if faults is None:
        reasons.append("The major page faults of the timed part were not recorded.")
    return reasons


def _audit_reasons(evidence: Evidence) -> list[str]:
    """With audit=test01: the performance run's answers must equal the accuracy run's."""
    if evidence.parameters.get("audit", "none") == "none" or evidence.performance is None:
        return []
    if evidence.audit is None:
        return ["The audit run did not end: its stage.json is missing."]
    facts = facts_of(evidence.audit)
    if facts.get("passed") is True:
        return []
    return [f"The audit must find equal answers: {facts.get('said', 'it says nothing')}."]


def _accuracy_reasons(evidence: Evidence, accuracy: Document | None) -> list[str]:
    reasons = []
    if accuracy is not None:
        reasons += score.reasons(accuracy, evidence.profile)
    reasons += _accuracy_log_reasons(evidence.accuracy_detail_text)
    if evidence.performance is None:
        return reasons
    for name, read in SAME_IN_BOTH.items():
        gated, measured = read(as_dict(evidence.accuracy)), read(evidence.performance)
        if gated is None or measured is None or gated != measured:
            reasons.append(
                f"Accuracy must be of the same {name} as performance: "
                f"accuracy ran with {gated!r}, performance with {measured!r}."
            )
    return reasons


def _accuracy_log_reasons(text: str | None) -> list[str]:
    """A score counts only if LoadGen itself saw nothing wrong."""
    if text is None:
        return [f"{loadgen_log.DETAIL_NAME!r} of the accuracy run is missing."]
    try:
        detail = loadgen_log.parse_detail(text, finished_key="power_end")
    except FleetError as error:
        return [f"Accuracy run: {error}"]
    mode = detail.values.get("effective_test_mode")
    if mode != "AccuracyOnly":
        return [f"LoadGen's mode in the accuracy run must be 'AccuracyOnly', found {mode!r}."]
    return [f"LoadGen's detail log of the accuracy run holds {error}" for error in detail.errors]


def _model_sha256(document: Document) -> str | None:
    inputs = document.get("inputs")
    sums = [
        str(item.get("sha256"))
        for item in (inputs if isinstance(inputs, list) else [])
        if isinstance(item, dict) and item.get("stage") in MODEL_STAGES
    ]
    return " ".join(sorted(sums)) or None


def _provenance(name: str) -> Callable[[Document], Any]:
    return lambda document: as_dict(document.get("provenance")).get(name)


def _fact(name: str) -> Callable[[Document], Any]:
    return lambda document: facts_of(document).get(name)


SAME_IN_BOTH: dict[str, Callable[[Document], Any]] = {
    "model file": _model_sha256,
    "image": _provenance("image_id"),
    "engine": _fact("engine"),
    "batch": _fact("best_batch"),
    "number of workers": _fact("workers"),
}

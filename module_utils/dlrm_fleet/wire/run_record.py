"""run.json as its readers need it: docs/contracts/run.schema.json, of every release so far."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .facts import MOST, check_host, check_score, number, number_or_none, published
from .fields import Fields

STATUSES = ("passed", "failed", "unreachable", "interrupted", "missing")
GRADES = ("quiet", "noisy", "unknown")
METRICS = ("auc", "soft_auc")
MOST_REASONS = 10_000
# A reason may quote a line of LoadGen's log.
LONGEST_REASON = 1024**2
# Records of earlier releases name files that no host may name any more.
BELOW = re.compile(r"(?:(?!\.\.?/)[^/\\\x00-\x1f]+/)*(?!\.\.?\Z)[^/\\\x00-\x1f]+")


@dataclass(frozen=True)
class JudgedRun:
    """What a table shows of a run. None: not measured."""

    run_id: str
    precision: str | None
    profile: str | None
    samples_per_second: float | None
    valid: bool | None
    auc: float | None
    soft_auc: float | None
    status: str
    grade: str
    reasons: tuple[str, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class RunRecord:
    """A record that names its own folder; `document` is the whole, every shown field checked."""

    host: str
    opened_at: str
    judged: JudgedRun
    document: dict[str, Any]


def judged_run(value: Any, what: str) -> JudgedRun:
    """Malformed where a field that is shown is wrong; `what` says whose record it is."""
    fields = Fields(value, what, "the record")
    performance, accuracy = _optional(fields, "performance"), _optional(fields, "accuracy")
    verdict = fields.object("verdict")
    parameters = fields.object("request").object("parameters")
    check_score(accuracy)
    return JudgedRun(
        run_id=fields.line("run_id", 64),
        precision=_line_or_none(parameters, "precision"),
        profile=_line_or_none(parameters, "profile"),
        samples_per_second=number_or_none(performance, "samples_per_second", 0, MOST),
        valid=None if performance.values.get("valid") is None else performance.boolean("valid"),
        auc=number_or_none(accuracy, "auc", 0, 1),
        soft_auc=number_or_none(accuracy, "soft_auc", 0, 1),
        status=verdict.choice("status", STATUSES),
        grade=verdict.choice("grade", GRADES),
        reasons=_texts(verdict, "reasons", LONGEST_REASON),
        marks=_texts(fields.object("comparability"), "marks", 256),
    )


def run_record(value: Any, what: str, run_id: str, host: str) -> RunRecord:
    """A whole record; Malformed unless it is the record of that run and host."""
    fields = Fields(value, what, "the record")
    fields.version()
    machine = fields.object("host")
    for one, name, wanted in ((fields, "run_id", run_id), (machine, "name", host)):
        if one.values.get(name) != wanted:
            raise one.bad(name, f"{wanted!r}, as its folder says")
    check_host(machine.values, what, machine.place)
    if fields.values.get("performance") is not None:
        _check_performance(fields.object("performance"))
    if fields.values.get("accuracy") is not None:
        _check_accuracy(fields.object("accuracy"))
    evidence = _optional(fields.object("verdict"), "evidence")
    if "noise" in evidence.values:
        _texts(evidence, "noise", LONGEST_REASON)
    for name in ("name", "id"):
        fields.object("image").text(name)
    for file in fields.objects("files"):
        file.matching("path", BELOW, "a path below the record's folder")
        file.sha256("sha256")
    for stage in fields.objects("stages"):
        stage.sha256("key")
        stage.line("stage")
        stage.line("made_by_run")
        published(stage)
    return RunRecord(host, fields.line("opened_at", 64), judged_run(value, what), fields.values)


def _check_performance(fields: Fields) -> None:
    for name in ("samples_per_second", "samples_per_query", "duration_ms", "min_duration_ms"):
        number(fields, name, 0, MOST)
    for part in ("core", "vcpu", "socket"):
        number_or_none(fields, f"samples_per_second_per_{part}", 0, MOST)
    number_or_none(fields, "pairs_per_second", 0, MOST)
    fields.boolean("valid")
    for name in ("loadgen_version", "scenario"):
        fields.text(name)


def _check_accuracy(fields: Fields) -> None:
    number(fields, "target", 0, 1)
    fields.choice("metric", METRICS)


def _optional(fields: Fields, name: str) -> Fields:
    """An object in it; without fields where it is missing or null."""
    value = {} if fields.values.get(name) is None else fields.values[name]
    return Fields(value, fields.what, f"{name!r} of {fields.place}")


def _line_or_none(fields: Fields, name: str) -> str | None:
    return None if fields.values.get(name) is None else fields.line(name)


def _texts(fields: Fields, name: str, longest: int) -> tuple[str, ...]:
    value = fields.values.get(name)
    if not isinstance(value, list) or len(value) > MOST_REASONS:
        raise fields.bad(name, f"a list of at most {MOST_REASONS} texts")
    for text in value:
        if not isinstance(text, str) or len(text) > longest:
            raise fields.bad(name, f"a list of texts of at most {longest} characters")
    return tuple(value)

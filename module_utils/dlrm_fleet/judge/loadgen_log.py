"""Reads LoadGen's mlperf_log_summary.txt and mlperf_log_detail.txt.

Formats: results.cc (LogSummary, LogDetail), test_settings_internal.cc, logging.cc of LoadGen 5.1.1.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import FleetError
from ..wire.facts import MOST, is_in
from ..wire.strict_json import Malformed, shown

SUMMARY_NAME = "mlperf_log_summary.txt"
DETAIL_NAME = "mlperf_log_detail.txt"
DETAIL_PREFIX = ":::MLLOG "

# LoadGen's lines are shorter by far; a longer one is counted like one that is not JSON.
LONGEST_LINE = 64 * 1024
MOST_DIGITS = 40

_PERCENTILE = re.compile(r"([0-9]{1,3}\.[0-9]{1,9}) percentile latency \(ns\)")
_COUNT = re.compile(
    r"(No|[0-9]{1,18}) (warnings?|errors?) encountered(?: during test|\. See detailed log)\.",
    re.IGNORECASE,
)
_RERUN = "Run the performance stage again; this log is not a result"


@dataclass
class Summary:
    """mlperf_log_summary.txt; `fields` holds every `name : value` line as text."""

    fields: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, int | float | str] = field(default_factory=dict)
    percentiles_ns: dict[str, int] = field(default_factory=dict)
    satisfied: dict[str, bool] = field(default_factory=dict)
    recommendations: list[str] = field(default_factory=list)
    warning_count: int | None = None
    error_count: int | None = None

    @property
    def valid(self) -> bool:
        return self.fields["Result is"] == "VALID"

    @property
    def samples_per_second(self) -> float:
        """Offline: samples per second. Server: completed samples per second."""
        for name in ("Samples per second", "Completed samples per second"):
            if name in self.fields:
                return _finite(name, self.fields[name])
        raise FleetError(
            f"cannot read {SUMMARY_NAME!r}", "no line 'Samples per second' stands in it", _RERUN
        )


@dataclass
class Detail:
    """mlperf_log_detail.txt; `values` holds the last value of each key."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def number(self, key: str) -> float:
        """Malformed where it is out of every range."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise FleetError(
                f"cannot read {DETAIL_NAME!r}", f"{key} must be a number, found {value!r}", _RERUN
            )
        return _checked(DETAIL_NAME, key, value)


def parse_summary(text: str) -> Summary:
    """FleetError when it is empty, lacks `Result is` or is cut before LoadGen's last line.

    Malformed, here and below, where a number is out of every range.
    """
    if not text.strip():
        raise FleetError(
            f"cannot read {SUMMARY_NAME!r}", "it is empty: LoadGen did not end", _RERUN
        )
    summary = Summary()
    section = ""
    for line in text.splitlines():
        name = line.strip()
        if name in ("MLPerf Results Summary", "Additional Stats", "Test Parameters Used"):
            section = name
        elif name.startswith("* "):
            summary.recommendations.append(name[2:])
        elif count := _COUNT.fullmatch(name):
            _count(summary, count)
        elif ":" in name:
            _summary_line(summary, section, *(part.strip() for part in name.split(":", 1)))
    for wanted, found in (
        ("a line 'Result is'", "Result is" in summary.fields),
        ("the test parameters", bool(summary.parameters)),
        ("the count of errors, LoadGen's last line", summary.error_count is not None),
    ):
        if not found:
            why = f"it is truncated after {len(text)} characters: {wanted} is missing"
            raise FleetError(f"cannot read {SUMMARY_NAME!r}", why, _RERUN)
    return summary


def _count(summary: Summary, match: re.Match[str]) -> None:
    number = 0 if match[1] == "No" else int(match[1])
    if match[2].lower().startswith("warning"):
        summary.warning_count = number
    else:
        summary.error_count = number


def _summary_line(summary: Summary, section: str, name: str, value: str) -> None:
    summary.fields[name] = value
    if name.endswith(" satisfied"):
        summary.satisfied[name[: -len(" satisfied")].strip()] = value == "Yes"
    elif percentile := _PERCENTILE.fullmatch(name):
        summary.percentiles_ns[percentile[1]] = int(_finite(name, value))
    elif section == "Test Parameters Used":
        summary.parameters[name] = _number_or_text(value)


def _finite(name: str, value: str) -> float:
    number = _number_or_text(value)
    if isinstance(number, str) or (isinstance(number, float) and not math.isfinite(number)):
        why = f"{name!r} must be a number, found {value[:LONGEST_LINE]!r}"
        raise FleetError(f"cannot read {SUMMARY_NAME!r}", why, _RERUN)
    return _checked(SUMMARY_NAME, name, number)


def _checked(log: str, name: str, number: float) -> float:
    if not is_in(number, 0, MOST):
        why = f"{shown(name)} must be a number from 0 to {MOST:g}, found {shown(str(number))}"
        raise Malformed(f"cannot use {log!r}", why, _RERUN)
    return number


def _number_or_text(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def parse_detail(text: str, finished_key: str = "num_errors") -> Detail:
    """FleetError when it is empty, its last line is cut or `finished_key` is missing.

    A performance run ends with `num_errors`. An accuracy run has no such line: give `power_end`.
    """
    what = f"cannot read {DETAIL_NAME!r}"
    if not text.strip():
        raise FleetError(what, "it is empty: LoadGen did not start", _RERUN)
    detail = Detail()
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        start = line.find(DETAIL_PREFIX)
        if start < 0:
            continue
        try:
            entry = _json(line[start + len(DETAIL_PREFIX) :])
        except (ValueError, RecursionError):
            if number == len(lines):
                why = f"its last line ({number}) is truncated: {line[-60:]!r}"
                raise FleetError(what, why, _RERUN) from None
            _unreadable(detail, number, line)
            continue
        _entry(detail, entry)
    if not detail.values:
        raise FleetError(what, f"no line of it begins with {DETAIL_PREFIX.strip()!r}", _RERUN)
    if finished_key not in detail.values:
        why = f"it is truncated after {len(lines)} lines: LoadGen's {finished_key!r} is missing"
        raise FleetError(what, why, _RERUN)
    return detail


def _json(text: str) -> Any:
    """ValueError for what is not JSON, or longer than any line is; Malformed for NaN and the like,
    which LoadGen never writes."""
    if len(text) > LONGEST_LINE:
        raise ValueError("too long")
    return json.loads(text, parse_constant=_refuse, parse_int=_integer, parse_float=_real)


def _refuse(text: str) -> Any:
    raise Malformed(f"cannot use {DETAIL_NAME!r}", f"it holds the number {shown(text)}", _RERUN)


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= MOST_DIGITS else _refuse(digits)


def _real(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits)


def _unreadable(detail: Detail, number: int, line: str) -> None:
    """Counts a line that is not JSON: LoadGen does not escape what a SUT puts into a message."""
    is_error = '"is_error": true' in line or '"key": "error_' in line
    note = f"line {number} is not JSON: {line[:120]}"
    (detail.errors if is_error else detail.warnings).append(note)


def _entry(detail: Detail, entry: Any) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        return
    key, value = entry["key"], entry.get("value")
    detail.values[key] = value
    metadata = entry.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if key.startswith("error_") or metadata.get("is_error") is True:
        detail.errors.append(f"{key}: {value}")
    elif key.startswith("warning_") or metadata.get("is_warning") is True:
        detail.warnings.append(f"{key}: {value}")


def performance(summary: Summary, detail: Detail) -> dict[str, Any]:
    """What run.json says about a performance run (docs/contracts/run.schema.json)."""
    # Whose figures stand in the detail log, says that log; two_logs.py compares it.
    scenario = str(detail.values.get("effective_scenario", summary.fields.get("Scenario", "")))
    found = {
        "samples_per_second": summary.samples_per_second,
        "valid": summary.valid,
        "scenario": scenario,
        "sut_name": summary.fields.get("SUT name", ""),
        "samples_per_query": int(detail.number("effective_samples_per_query")),
        "min_duration_ms": int(detail.number("effective_min_duration_ms")),
        # Offline sends one query: its latency is the run's length.
        "duration_ms": detail.number("result_max_latency_ns") / 1e6,
        "target_qps": float(detail.number("effective_target_qps")),
        "latency_percentiles_ns": summary.percentiles_ns,
        "loadgen_version": str(detail.values.get("loadgen_version", "")),
        "errors": detail.errors,
        "warnings": detail.warnings,
    }
    if scenario == "Server":
        found.update(_server(detail))
    return found


def _server(detail: Detail) -> dict[str, Any]:
    """Figures of a Server run: rate and latency of its queries, and how long it took."""
    queries = detail.number("result_query_count")
    completed = detail.number("result_completed_samples_per_sec")
    return {
        "duration_ms": 1000 * queries / completed if completed else 0.0,
        "queries": int(queries),
        "scheduled_samples_per_second": detail.number("result_scheduled_samples_per_sec"),
        "latency_p99_ms": detail.number("result_99.00_percentile_latency_ns") / 1e6,
        "latency_bound_ms": detail.number("effective_target_latency_ns") / 1e6,
    }

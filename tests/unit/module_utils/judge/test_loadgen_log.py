"""LoadGen's logs, real ones (tests/unit/fixtures/loadgen/README.md) and cut ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.judge.loadgen_log import (
    DETAIL_NAME,
    SUMMARY_NAME,
    parse_detail,
    parse_summary,
    performance,
)

LOGS = Path(__file__).resolve().parents[2] / "fixtures" / "loadgen"


def summary_text(case: str) -> str:
    return (LOGS / case / SUMMARY_NAME).read_text()


def detail_text(case: str) -> str:
    return (LOGS / case / DETAIL_NAME).read_text()


def mllog(key: str, value: object, is_error: bool = False) -> str:
    entry = {"key": key, "value": value, "metadata": {"is_error": is_error, "is_warning": False}}
    return f":::MLLOG {json.dumps(entry)}\n"


def test_valid_summary() -> None:
    summary = parse_summary(summary_text("valid"))
    assert summary.valid is True
    assert summary.samples_per_second == 18309.5
    assert summary.fields["SUT name"] == "PySUT"
    assert summary.fields["Scenario"] == "Offline"
    assert summary.fields["Mode"] == "PerformanceOnly"
    assert summary.satisfied == {
        "Min duration": True,
        "Min queries": True,
        "Early stopping": True,
    }
    assert summary.percentiles_ns == dict.fromkeys(
        ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90"), 1342252862
    )
    assert (summary.warning_count, summary.error_count) == (2, 0)
    assert summary.recommendations == []


def test_every_test_parameter_is_read() -> None:
    parameters = parse_summary(summary_text("valid")).parameters
    assert parameters["samples_per_query"] == 24576
    assert parameters["min_duration (ms)"] == 1000
    assert parameters["qsl_rng_seed"] == 1780908523862526354
    assert parameters["sample_index_rng_seed"] == 14771362308971278857
    assert parameters["performance_sample_count"] == 64
    assert len(parameters) == 19


def test_invalid_summary() -> None:
    summary = parse_summary(summary_text("invalid"))
    assert summary.valid is False
    assert summary.satisfied["Min duration"] is False
    assert summary.satisfied["Min queries"] is True
    assert summary.recommendations[0].startswith("Increase expected QPS")


def test_two_configurations_are_valid_in_the_summary_and_an_error_in_the_detail_log() -> None:
    summary = parse_summary(summary_text("multiple_conf"))
    assert summary.valid is True
    assert summary.error_count == 1
    detail = parse_detail(detail_text("multiple_conf"))
    assert detail.errors == [
        "error_invalid_config: Multiple conf files are used. "
        "This is not valid for official submission."
    ]


def test_detail_log() -> None:
    detail = parse_detail(detail_text("valid"))
    assert detail.values["loadgen_version"] == "5.1.1 @ NA"
    assert detail.values["result_validity"] == "VALID"
    assert detail.values["effective_schedule_rng_seed"] == 18209322760996052031
    assert detail.errors == []
    assert len(detail.warnings) == 2
    assert detail.warnings[0].startswith("warning_generic_message: Logging allocation detected")


def test_performance_of_the_real_logs() -> None:
    document = performance(parse_summary(summary_text("valid")), parse_detail(detail_text("valid")))
    assert document["samples_per_second"] == 18309.5
    assert document["duration_ms"] == pytest.approx(1342.252862)
    assert document["min_duration_ms"] == 1000
    assert document["samples_per_query"] == 24576
    assert document["target_qps"] == 100.0
    assert document["loadgen_version"] == "5.1.1 @ NA"
    assert document["latency_percentiles_ns"]["99.90"] == 1342252862


def test_an_accuracy_runs_detail_log_ends_with_power_end() -> None:
    detail = parse_detail(detail_text("accuracy"), finished_key="power_end")
    assert detail.values["effective_test_mode"] == "AccuracyOnly"
    assert detail.errors == []


def test_unknown_keys_and_lines_are_tolerated() -> None:
    text = "hello\n" + detail_text("valid") + mllog("brand_new_key", {"a": [1]}) + "\n"
    detail = parse_detail(text)
    assert detail.values["brand_new_key"] == {"a": [1]}
    summary = parse_summary("A new line : 7\n" + summary_text("valid"))
    assert summary.fields["A new line"] == "7"
    assert summary.valid is True


def test_error_flag_counts_without_the_prefix() -> None:
    detail = parse_detail(mllog("runtime", "broken", is_error=True) + mllog("num_errors", 1))
    assert detail.errors == ["runtime: broken"]


def test_a_line_that_is_not_json_still_counts_as_error() -> None:
    broken = ':::MLLOG {"key": "error_runtime", "value": "say "no"", "metadata": {}}\n'
    detail = parse_detail(broken + mllog("num_errors", 1))
    assert len(detail.errors) == 1
    assert detail.errors[0].startswith("line 1 is not JSON: :::MLLOG")


def test_a_harmless_line_that_is_not_json_is_a_warning() -> None:
    detail = parse_detail(':::MLLOG {"key": "x", "value": "a"b"}\n' + mllog("num_errors", 0))
    assert detail.errors == []
    assert len(detail.warnings) == 1


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_empty_logs_are_refused(text: str) -> None:
    with pytest.raises(FleetError, match=r"mlperf_log_summary.txt': it is empty: LoadGen did not"):
        parse_summary(text)
    with pytest.raises(FleetError, match=r"mlperf_log_detail.txt': it is empty: LoadGen did not"):
        parse_detail(text)


def test_a_killed_runs_logs_are_refused() -> None:
    with pytest.raises(FleetError, match="it is empty"):
        parse_summary(summary_text("interrupted"))
    with pytest.raises(FleetError, match=r"truncated after 63 lines.*'num_errors' is missing"):
        parse_detail(detail_text("interrupted"))


def test_an_accuracy_runs_summary_is_no_result() -> None:
    with pytest.raises(FleetError, match="a line 'Result is' is missing"):
        parse_summary(summary_text("accuracy"))


def test_a_summary_cut_anywhere_is_refused() -> None:
    text = summary_text("valid").rstrip("\n")
    for length in range(len(text)):
        with pytest.raises(FleetError, match=r"mlperf_log_summary.txt"):
            parse_summary(text[:length])
    assert parse_summary(text).valid


def test_a_detail_log_cut_anywhere_in_its_end_is_refused() -> None:
    text = detail_text("valid").rstrip("\n")
    start = text.rindex('"result_99.90')
    end = text.index("}}", text.index('"num_errors"')) + 2
    for length in range(start, end):
        with pytest.raises(FleetError, match="truncated"):
            parse_detail(text[:length])
    assert parse_detail(text[:end]).values["num_errors"] == 0


def test_a_cut_last_line_is_refused_whatever_stands_before_it() -> None:
    with pytest.raises(FleetError, match=r"its last line \(2\) is truncated: ':::MLLOG"):
        parse_detail(mllog("num_errors", 0) + ':::MLLOG {"key": "error_runt')


def test_a_log_of_something_else_is_refused() -> None:
    with pytest.raises(FleetError, match="no line of it begins with ':::MLLOG'"):
        parse_detail("Traceback (most recent call last):\n")


@pytest.mark.parametrize("rate", ["fast", "nan", "inf"])
def test_a_rate_that_is_no_number_is_refused(rate: str) -> None:
    text = summary_text("valid").replace("18309.5", rate)
    with pytest.raises(FleetError, match=f"'Samples per second' must be a number, found '{rate}'"):
        _ = parse_summary(text).samples_per_second


def test_a_missing_effective_setting_is_refused() -> None:
    text = detail_text("valid").replace("effective_min_duration_ms", "effective_min_duration_s")
    with pytest.raises(FleetError, match="effective_min_duration_ms must be a number, found None"):
        performance(parse_summary(summary_text("valid")), parse_detail(text))

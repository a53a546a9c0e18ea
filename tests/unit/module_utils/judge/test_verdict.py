"""The judge: one run that passes, then each defect alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.judge.rules import DEMO_MARK
from ansible.module_utils.dlrm_fleet.judge.verdict import Evidence, judge
from judged_run import (
    drop,
    judged,
    log,
    passing,
    replace_in_both,
    set_fact,
    set_image,
    set_logs,
    set_model,
    set_parameter,
    stage,
)


@pytest.fixture
def given() -> dict[str, Any]:
    return passing()


def test_a_good_run_passes(given: dict[str, Any]) -> None:
    judgement = judged(given)
    assert judgement.verdict == {
        "status": "passed",
        "reasons": [],
        "grade": "quiet",
        "evidence": {
            "steal_percent": 0.2,
            "other_load_percent": 1.5,
            "major_faults": 0,
            "mean_frequency_mhz": 3600,
            "noise": [],
        },
    }
    assert judgement.accuracy == {
        "auc": 0.8031,
        "soft_auc": 0.9995,
        "metric": "auc",
        "target": 0.8,
        "passed": True,
        "samples": 96,
        "pairs": 9600,
        "retention": 0.9995,
    }
    assert judgement.comparability["marks"] == [DEMO_MARK]


@pytest.mark.parametrize(
    ("audit", "reasons"),
    [
        pytest.param(None, ["The audit run did not end: its stage.json is missing."], id="missing"),
        pytest.param({"passed": True, "said": "TEST01 PASS"}, [], id="passed"),
        pytest.param(
            {"passed": False, "said": "TEST01 FAIL: 3 differ"},
            ["The audit must find equal answers: TEST01 FAIL: 3 differ."],
            id="failed",
        ),
        pytest.param({}, ["The audit must find equal answers: it says nothing."], id="silent"),
    ],
)
def test_an_audit_that_was_asked_must_pass(
    given: dict[str, Any], audit: dict[str, Any] | None, reasons: list[str]
) -> None:
    given["request"]["parameters"]["audit"] = "test01"
    given["audit"] = None if audit is None else stage("audit", audit)
    judgement = judged(given)
    assert judgement.verdict["reasons"] == reasons
    assert judgement.verdict["status"] == ("failed" if reasons else "passed")
    if audit is not None:
        assert judgement.comparability["audit"]["passed"] is audit.get("passed")


def test_figures_per_part_of_the_machine(given: dict[str, Any]) -> None:
    performance = judged(given).performance
    assert performance is not None
    assert performance["samples_per_second_per_core"] == pytest.approx(18309.5 / 2)
    assert performance["samples_per_second_per_vcpu"] == pytest.approx(18309.5 / 4)
    assert performance["samples_per_second_per_socket"] == pytest.approx(18309.5)
    assert performance["pairs_per_second"] == pytest.approx(6_636_000 / 1.342252862)


def test_the_record_says_where_workers_and_model_lay(given: dict[str, Any]) -> None:
    performance = judged(given).performance
    assert performance is not None
    assert "placement" not in performance
    set_fact("performance", placement={"model": "copy"})(given)
    performance = judged(given).performance
    assert performance is not None
    assert performance["placement"] == {"model": "copy"}


def test_an_unknown_machine_has_no_figures_per_part(given: dict[str, Any]) -> None:
    given["host"] = {}
    performance = judged(given).performance
    assert performance is not None
    assert performance["samples_per_second_per_core"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            set_logs("multiple_conf"),
            "LoadGen's detail log must hold no error, found 1; the first: error_invalid_config: "
            "Multiple conf files are used. This is not valid for official submission.",
            id="error in the detail log",
        ),
        pytest.param(
            set_parameter("min_duration_seconds", 600),
            "LoadGen's min_duration must be the requested 600 s, found 1 s.",
            id="min_duration lowered",
        ),
        pytest.param(
            replace_in_both("Max latency (ns)", "result_max_latency_ns", 1342252862, 900000000),
            "The run must last at least 1 s, it lasted 0.900 s.",
            id="too short",
        ),
        pytest.param(
            set_parameter("scenario", "server"),
            "LoadGen's scenario must be 'server', found 'Offline'.",
            id="other scenario",
        ),
        pytest.param(
            replace_in_both("Mode", "effective_test_mode", "PerformanceOnly", "AccuracyOnly"),
            "LoadGen's mode must be 'PerformanceOnly', found 'AccuracyOnly'.",
            id="other mode",
        ),
        pytest.param(
            set_fact("performance", pairs_computed=6_635_999),
            "Pairs computed must equal pairs issued: 6636000 issued, 6635999 computed.",
            id="a pair not computed",
        ),
        pytest.param(
            set_fact("performance", pairs_computed=0, pairs_issued=0),
            "Pairs computed must equal pairs issued: 0 issued, 0 computed.",
            id="nothing computed",
        ),
        pytest.param(
            drop("performance", "pairs_issued"),
            "stage.json of the performance run must say pairs_issued and pairs_computed, "
            "found None and 6636000.",
            id="pairs not counted",
        ),
        pytest.param(
            set_fact("performance", failed_inferences=3),
            "No inference may fail, 3 did.",
            id="failed inference",
        ),
        pytest.param(
            set_fact(
                "performance",
                reference={
                    "against": "torch fp32",
                    "tolerance": 1e-5,
                    "max_abs_difference": 0.25,
                    "passed": False,
                },
            ),
            "Answers given under LoadGen must equal torch fp32 within 1e-05, "
            "found a difference of 0.25.",
            id="other answers than fp32",
        ),
        pytest.param(
            set_fact("performance", evidence={"steal_percent": 0, "other_load_percent": 0}),
            "The major page faults of the timed part were not recorded.",
            id="faults not recorded",
        ),
        pytest.param(
            set_model,
            f"Accuracy must be of the same model file as performance: accuracy ran with "
            f"'{'c' * 64}', performance with '{'a' * 64}'.",
            id="other model",
        ),
        pytest.param(
            set_image,
            "Accuracy must be of the same image as performance: accuracy ran with 'sha256:2', "
            "performance with 'sha256:1'.",
            id="other image",
        ),
        pytest.param(
            set_fact("accuracy", engine="torch-fp32 1"),
            "Accuracy must be of the same engine as performance: accuracy ran with "
            "'torch-fp32 1', performance with 'torch-int8 1'.",
            id="other engine",
        ),
        pytest.param(
            set_fact("performance", best_batch=800),
            "Accuracy must be of the same batch as performance: accuracy ran with 400, "
            "performance with 800.",
            id="other batch",
        ),
        pytest.param(
            drop("accuracy", "workers"),
            "Accuracy must be of the same number of workers as performance: accuracy ran with "
            "None, performance with 2.",
            id="workers unknown",
        ),
        pytest.param(
            set_fact("accuracy", auc=0.7999, passed=False),
            "Accuracy must reach auc 0.80000, found 0.79990.",
            id="accuracy short of target",
        ),
        pytest.param(
            set_fact("accuracy", metric="soft_auc", soft_auc=None),
            "Accuracy must reach soft_auc 0.80000, found nothing.",
            id="no soft score",
        ),
        pytest.param(
            set_fact("accuracy", auc=0.5),
            "Accuracy must reach auc 0.80000, found 0.50000.",
            id="the stage's own word is not believed",
        ),
    ],
)
def test_each_defect_alone_fails_with_its_reason(
    given: dict[str, Any], change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    change(given)
    verdict = judged(given).verdict
    assert verdict["status"] == "failed"
    assert verdict["reasons"][0] == reason
    assert len(verdict["reasons"]) <= 2


def test_invalid_run_says_why(given: dict[str, Any]) -> None:
    set_logs("invalid")(given)
    judgement = judged(given)
    assert judgement.verdict["status"] == "failed"
    assert judgement.verdict["reasons"] == [
        "LoadGen calls the result INVALID: Increase expected QPS so the loadgen pre-generates a "
        "larger (coalesced) query.",
        "The run must last at least 1 s, it lasted 0.271 s.",
    ]
    assert judgement.performance is not None
    assert judgement.performance["valid"] is False


def test_a_target_missed_before_performance_is_a_failure_not_an_interruption(
    given: dict[str, Any],
) -> None:
    set_fact("accuracy", auc=0.7, passed=False)(given)
    given.update(performance=None, summary_text=None, detail_text=None)
    judgement = judged(given)
    assert judgement.verdict["status"] == "failed"
    assert judgement.verdict["reasons"] == ["Accuracy must reach auc 0.80000, found 0.70000."]
    assert judgement.performance is None


@pytest.mark.parametrize("name", ["accuracy", "performance"])
def test_a_stage_that_did_not_end_is_interrupted(given: dict[str, Any], name: str) -> None:
    given[name] = None
    verdict = judged(given).verdict
    assert verdict["status"] == "interrupted"
    assert f"The {name} run did not end: its stage.json is missing." in verdict["reasons"]


def test_nothing_is_missing(given: dict[str, Any]) -> None:
    judgement = judge(Evidence(request=given["request"]))
    assert judgement.verdict["status"] == "missing"
    assert judgement.verdict["reasons"] == [
        "Neither the accuracy nor the performance run left a result."
    ]
    assert judgement.verdict["grade"] == "unknown"
    assert (judgement.performance, judgement.accuracy) == (None, None)


def test_a_killed_loadgen_is_interrupted(given: dict[str, Any]) -> None:
    set_logs("interrupted")(given)
    verdict = judged(given).verdict
    assert verdict["status"] == "interrupted"
    assert "it is empty: LoadGen did not end" in verdict["reasons"][0]


@pytest.mark.parametrize("name", ["summary", "detail"])
def test_a_missing_log_is_interrupted(given: dict[str, Any], name: str) -> None:
    given[f"{name}_text"] = None
    verdict = judged(given).verdict
    assert verdict["status"] == "interrupted"
    assert verdict["reasons"] == [f"'mlperf_log_{name}.txt' of the performance run is missing."]


def test_unreachable_and_failed_phases(given: dict[str, Any]) -> None:
    given.update(accuracy=None, performance=None)
    given["failure"] = {"phase": "unreachable", "message": "no route to host"}
    verdict = judged(given).verdict
    assert verdict["status"] == "unreachable"
    assert verdict["reasons"] == ["unreachable: no route to host"]
    given["failure"] = {"phase": "calibrate", "message": "out of memory"}
    assert judged(given).verdict["status"] == "failed"


def test_a_failure_beside_a_good_result_does_not_pass(given: dict[str, Any]) -> None:
    given["failure"] = {"phase": "storage", "message": "disk full"}
    verdict = judged(given).verdict
    assert verdict["status"] == "failed"
    assert verdict["reasons"] == ["storage: disk full"]


def test_a_connection_lost_beside_a_whole_result_changes_nothing(given: dict[str, Any]) -> None:
    given["failure"] = {"phase": "unreachable", "message": "neither answered nor closed"}
    assert judged(given).verdict == judged({**given, "failure": None}).verdict
    assert judged(given).verdict["status"] == "passed"
    given["performance"] = None
    verdict = judged(given).verdict
    assert verdict["status"] == "unreachable"
    assert verdict["reasons"][0] == "unreachable: neither answered nor closed"


def test_unreadable_documents_do_not_pass(given: dict[str, Any]) -> None:
    given["unreadable"] = ("cannot read 'stages/dump.json': it is empty.",)
    assert judged(given).verdict["status"] == "failed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "'mlperf_log_detail.txt' of the accuracy run is missing.", id="missing"),
        pytest.param("", "Accuracy run: cannot read 'mlperf_log_detail.txt': it is", id="empty"),
        pytest.param(
            log("valid", "detail"),
            "LoadGen's mode in the accuracy run must be 'AccuracyOnly', found 'PerformanceOnly'.",
            id="a performance log",
        ),
        pytest.param(
            ':::MLLOG {"key": "error_runtime", "value": "x"}\n' + log("accuracy", "detail"),
            "LoadGen's detail log of the accuracy run holds error_runtime: x",
            id="an error",
        ),
    ],
)
def test_the_accuracy_runs_own_log_must_be_clean(
    given: dict[str, Any], text: str | None, reason: str
) -> None:
    given["accuracy_detail_text"] = text
    verdict = judged(given).verdict
    assert verdict["status"] == "failed"
    assert len(verdict["reasons"]) == 1
    assert verdict["reasons"][0].startswith(reason)


@pytest.mark.parametrize("fact", ["auc", "target", "metric", "passed"])
def test_a_score_that_is_incomplete_is_said(given: dict[str, Any], fact: str) -> None:
    drop("accuracy", fact)(given)
    judgement = judged(given)
    assert judgement.accuracy is None
    assert judgement.verdict["status"] != "passed"
    assert f"found {fact}=None" in judgement.verdict["reasons"][0]


@pytest.mark.parametrize(
    ("evidence", "grade", "noise"),
    [
        pytest.param({"steal_percent": 1.0, "other_load_percent": 5.0}, "quiet", 0, id="limits"),
        pytest.param({"steal_percent": 1.1, "other_load_percent": 0.0}, "noisy", 1, id="steal"),
        pytest.param({"steal_percent": 0.0, "other_load_percent": 5.1}, "noisy", 1, id="load"),
        pytest.param({"steal_percent": 3.0, "other_load_percent": 9.0}, "noisy", 2, id="both"),
        pytest.param({"steal_percent": 3.0, "other_load_percent": None}, "noisy", 1, id="half"),
        pytest.param(
            {"steal_percent": 0.0, "other_load_percent": 0.0, "major_faults": 7},
            "noisy",
            1,
            id="faults",
        ),
        pytest.param(
            {"steal_percent": 0.0, "other_load_percent": 0.0, "throttled_percent": 49.7},
            "noisy",
            1,
            id="quota",
        ),
        pytest.param({"steal_percent": 0.1, "other_load_percent": None}, "unknown", 0, id="gap"),
        pytest.param({}, "unknown", 0, id="nothing"),
    ],
)
def test_grade(given: dict[str, Any], evidence: dict[str, Any], grade: str, noise: int) -> None:
    set_fact("performance", evidence={"major_faults": 0, **evidence})(given)
    verdict = judged(given).verdict
    assert verdict["grade"] == grade
    assert len(verdict["evidence"]["noise"]) == noise
    assert verdict["status"] == "passed"

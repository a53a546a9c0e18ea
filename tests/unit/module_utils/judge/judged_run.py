"""Arguments of Evidence for a run that passes, and ways to spoil them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.dlrm_fleet.judge.rules import DEMO_MARK
from ansible.module_utils.dlrm_fleet.judge.verdict import Evidence, Judgement, judge

LOGS = Path(__file__).resolve().parents[2] / "fixtures" / "loadgen"
Change = Callable[[dict[str, Any]], None]
MODEL = {"stage": "calibrate", "name": "dlrm_int8.pt", "bytes": 7, "sha256": "a" * 64}


def log(case: str, name: str) -> str:
    return (LOGS / case / f"mlperf_log_{name}.txt").read_text()


def stage(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    dataset = {"stage": "dataset", "name": f"{name}.bin", "bytes": 5, "sha256": "b" * 64}
    return {
        "schema_version": 1,
        "stage": name,
        "inputs": [dataset, dict(MODEL)],
        "facts": {"engine": "torch-int8 1", "best_batch": 400, "workers": 2, **facts},
        "provenance": {"image": "dlrm-bench:abc", "image_id": "sha256:1"},
    }


def passing() -> dict[str, Any]:
    """Arguments of Evidence for a run that passes."""
    return {
        "request": {
            "parameters": {"profile": "demo", "scenario": "offline", "min_duration_seconds": 1},
            "marks": [DEMO_MARK],
        },
        "accuracy": stage(
            "accuracy",
            {
                "auc": 0.8031,
                "soft_auc": 0.9995,
                "metric": "auc",
                "target": 0.8,
                "passed": True,
                "samples": 96,
                "pairs": 9600,
                "retention": 0.9995,
            },
        ),
        "performance": stage(
            "performance",
            {
                "pairs_issued": 6_636_000,
                "pairs_computed": 6_636_000,
                "failed_inferences": 0,
                "evidence": {
                    "steal_percent": 0.2,
                    "other_load_percent": 1.5,
                    "major_faults": 0,
                    "mean_frequency_mhz": 3600,
                },
            },
        ),
        "summary_text": log("valid", "summary"),
        "detail_text": log("valid", "detail"),
        "accuracy_detail_text": log("accuracy", "detail"),
        "host": {"cpu": {"allowed_cores": 2, "allowed_threads": 4, "allowed_sockets": 1}},
    }


def judged(given: dict[str, Any]) -> Judgement:
    return judge(Evidence(**given))


def set_fact(stage_name: str, **facts: Any) -> Change:
    return lambda given: given[stage_name]["facts"].update(facts)


def set_model(given: dict[str, Any]) -> None:
    given["accuracy"]["inputs"][1]["sha256"] = "c" * 64


def set_image(given: dict[str, Any]) -> None:
    given["accuracy"]["provenance"]["image_id"] = "sha256:2"


def set_logs(case: str) -> Change:
    def change(given: dict[str, Any]) -> None:
        given["summary_text"], given["detail_text"] = log(case, "summary"), log(case, "detail")

    return change


def set_parameter(name: str, value: Any) -> Change:
    return lambda given: given["request"]["parameters"].update({name: value})


def replace_in_both(line: str, key: str, old: object, new: object) -> Change:
    """A figure of both logs: `line` of the summary, `key` of the detail log."""

    def change(given: dict[str, Any]) -> None:
        said = re.compile(rf"^({re.escape(line)}\s*: *){old}$", re.MULTILINE)
        quote = '"' if isinstance(old, str) else ""
        logged = f'"{key}", "value": {quote}{old}{quote}'
        assert len(said.findall(given["summary_text"])) == given["detail_text"].count(logged) == 1
        given["summary_text"] = said.sub(rf"\g<1>{new}", given["summary_text"])
        replaced = logged.replace(f" {quote}{old}{quote}", f" {quote}{new}{quote}")
        given["detail_text"] = given["detail_text"].replace(logged, replaced)

    return change


def drop(stage_name: str, fact: str) -> Change:
    return lambda given: given[stage_name]["facts"].pop(fact)

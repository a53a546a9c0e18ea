"""An accuracy run of too few pairs: its gate lies inside the score's interval. Nothing passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from storing_node import CONTRACTS, Node, table

SCHEMA = json.loads((CONTRACTS / "run.schema.json").read_text())
# Of 100 pairs of a user's log, as the accuracy stage says it.
HUNDRED: dict[str, Any] = {
    "auc": 0.86,
    "auc_interval": {"low": 0.76, "high": 0.96},
    "soft_auc": 0.8432,
    "soft_auc_interval": {"low": 0.7712, "high": 0.9152},
    "metric": "soft_auc",
    "target": 0.8424,
    "passed": True,
    "samples": 1,
    "pairs": 100,
    "gate": {"asked": 0.8, "low": 0.7712, "high": 0.9152, "pairs_needed": 278},
}
WORDS = (
    "Too few pairs: soft_auc of 100 pairs lies between 0.77120 and 0.91520 (95 %), and 0.80000 is "
    "asked. About 278 pairs can tell; half of the click log's rows are scored."
)


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    made = Node(tmp_path, capsys)
    made.fetch()
    return made


def scored(node: Node, **facts: Any) -> dict[str, Any]:
    """The record of a run whose accuracy stage says so."""

    def change(text: str) -> str:
        document = json.loads(text)
        document["facts"].update(facts)
        return json.dumps(document)

    node.edit("stages/accuracy.json", change)
    answer = node.record()
    assert not answer.get("failed"), answer
    Draft202012Validator(SCHEMA).validate(answer["run"])
    run: dict[str, Any] = answer["run"]
    return run


def test_a_hundred_pairs_do_not_pass(node: Node) -> None:
    run = scored(node, **HUNDRED)
    assert run["verdict"]["status"] == "interrupted"
    assert run["verdict"]["reasons"] == [WORDS]
    assert run["accuracy"]["soft_auc_interval"] == HUNDRED["soft_auc_interval"]
    shown = table(node, {"host": "arm-01", "run": run})
    assert shown["passed"] is False
    assert "Too few pairs" in shown["table"]


def test_nor_do_they_fail(node: Node) -> None:
    missed = {**HUNDRED, "soft_auc": 0.79, "passed": False}
    missed["gate"] = {"asked": 0.8, "low": 0.718, "high": 0.862, "pairs_needed": None}
    verdict = scored(node, **missed)["verdict"]
    assert verdict["status"] == "interrupted"
    (reason,) = verdict["reasons"]
    assert "lies between 0.71800 and 0.86200" in reason
    assert "Only other data can tell" in reason


def test_a_sure_miss_fails(node: Node) -> None:
    missed = {**HUNDRED, "soft_auc": 0.5, "passed": False}
    missed["gate"] = {"asked": 0.8, "low": 0.42, "high": 0.58, "pairs_needed": 8}
    verdict = scored(node, **missed)["verdict"]
    assert verdict["status"] == "failed"
    assert verdict["reasons"] == ["Accuracy must reach soft_auc 0.84240, found 0.50000."]


def test_what_else_is_wrong_fails(node: Node) -> None:
    verdict = scored(node, **HUNDRED, best_batch=7)["verdict"]
    assert verdict["status"] == "failed"
    assert verdict["reasons"][-1] == WORDS


def test_enough_pairs_pass_with_their_interval(node: Node) -> None:
    gate = {"asked": 0.8424, "low": 0.8427, "high": 0.8433, "pairs_needed": 2400}
    run = scored(node, **{**HUNDRED, "samples": 96, "pairs": 9600, "gate": gate})
    assert run["verdict"]["status"] == "passed"
    assert run["accuracy"].get("gate") == gate


def test_a_stage_of_an_earlier_release_says_no_interval_and_is_judged_as_before(
    node: Node,
) -> None:
    run = scored(node)
    assert run["verdict"]["status"] == "passed"
    assert {"auc_interval", "soft_auc_interval", "gate"} & set(run["accuracy"]) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auc_interval", None),
        ("auc_interval", [0.7, 0.8]),
        ("auc_interval", {"low": 0.8}),
        ("auc_interval", {"low": 0.8, "high": "high"}),
        ("soft_auc_interval", {"low": -0.1, "high": 0.8}),
        ("soft_auc_interval", {"low": 0.1}),
        ("gate", [0.8, 0.7, 0.9]),
        ("gate", None),
        ("gate", {"asked": 0.8, "low": 0.7}),
        ("gate", {"asked": 0.8, "low": 0.7, "high": 9}),
        ("gate", {"asked": 0.8, "low": 0.7, "high": 0.9, "pairs_needed": -1}),
    ],
)
def test_an_interval_that_cannot_be_is_refused(node: Node, name: str, value: object) -> None:
    verdict = scored(node, **{name: value})["verdict"]
    assert verdict["status"] == "failed"
    assert f"'{name}'" in verdict["reasons"][0]

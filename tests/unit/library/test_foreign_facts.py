"""What a measured host says is out of range: its record says so, and nobody fails on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from storing_node import CONTRACTS, Node, table

SCHEMA = json.loads((CONTRACTS / "run.schema.json").read_text())


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def fact(stage: str, name: str, value: str) -> Callable[[Node], None]:
    """`value`: as JSON."""

    def change(text: str) -> str:
        document = json.loads(text)
        document["facts"][name] = "VALUE"
        return json.dumps(document).replace('"VALUE"', value)

    return lambda node: node.edit(f"stages/{stage}.json", change)


def cpu(name: str, value: str) -> Callable[[Node], None]:
    def change(text: str) -> str:
        document = json.loads(text)
        document["cpu"][name] = "VALUE"
        return json.dumps(document).replace('"VALUE"', value)

    return lambda node: node.edit("host.json", change)


def log(name: str, old: str, new: str) -> Callable[[Node], None]:
    return lambda node: node.edit(
        f"performance/mlperf_log_{name}.txt", lambda text: text.replace(old, new)
    )


LATENCY = '"result_max_latency_ns", "value": '


def both(*changes: Callable[[Node], None]) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        for one in changes:
            one(node)

    return change


BY_LABELS = (fact("accuracy", "metric", '"auc"'), fact("accuracy", "target", "0.8"))
NUMBERS = [
    ("string soft_auc beside auc", both(*BY_LABELS, fact("accuracy", "soft_auc", '"x"')), "soft"),
    ("string soft_auc", fact("accuracy", "soft_auc", '"high"'), "'soft_auc'"),
    ("auc of 400 digits", fact("accuracy", "auc", "9" * 400), "digits"),
    ("auc above 1", fact("accuracy", "auc", "80.31"), "'auc'"),
    ("auc below 0", fact("accuracy", "auc", "-0.1"), "'auc'"),
    ("auc NaN", fact("accuracy", "auc", "NaN"), "NaN"),
    ("target infinite", fact("accuracy", "target", "-Infinity"), "-Infinity"),
    ("target below 0", fact("accuracy", "target", "-1"), "'target'"),
    ("samples below 0", fact("accuracy", "samples", "-3"), "'samples'"),
    ("soft_auc without end", fact("accuracy", "soft_auc", "[" * 90 + "]" * 90), "deeper"),
    ("rate of -5", log("summary", "second: 18309.5", "second: -5"), "'Samples per second'"),
    ("rate of 0", log("summary", "second: 18309.5", "second: 0"), "more than 0 samples"),
    ("rate of 400 digits", log("summary", "18309.5", "9" * 400), "'Samples per second'"),
    ("duration below 0", log("detail", LATENCY, f"{LATENCY}-"), "'result_max_latency_ns'"),
    ("duration NaN", log("detail", f"{LATENCY}1342252862", f"{LATENCY}NaN"), "NaN"),
    ("pairs of 400 digits", fact("performance", "pairs_issued", "9" * 400), "digits"),
    ("pairs below 0", fact("performance", "pairs_computed", "-1"), "'pairs_computed'"),
    ("placement a text", fact("performance", "placement", '"here"'), "'placement'"),
    ("engine of two lines", fact("performance", "engine", '"torch\\n\\u001b[2J"'), "'engine'"),
    ("engine endless", fact("accuracy", "engine", json.dumps("e" * 5000)), "'engine'"),
    ("cores below 0", cpu("allowed_cores", "-2"), "'allowed_cores'"),
    ("cores of 400 digits", cpu("allowed_cores", "9" * 400), "digits"),
    ("model an object", cpu("model", '{"name": "x"}'), "'model'"),
]


@pytest.mark.parametrize(
    ("change", "named"), [pytest.param(change, named, id=name) for name, change, named in NUMBERS]
)
def test_a_host_that_says_what_cannot_be_gets_a_record_that_says_so(
    node: Node, change: Callable[[Node], None], named: str
) -> None:
    """And nobody fails on that record, who reads it later."""
    node.fetch()
    change(node)
    answer = node.record()
    assert "Traceback" not in answer.get("msg", "")
    assert not answer.get("failed"), answer
    verdict = answer["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert named in verdict["reasons"][0]
    Draft202012Validator(SCHEMA).validate(answer["run"])
    assert json.loads((node.run_dir() / "run.json").read_text()) == answer["run"]
    found = node.records()
    assert (len(found["newest"]), found["unreadable"]) == (1, [])
    assert table(node, {"host": "arm-01", "run": answer["run"]})["passed"] is False
    assert node.record()["changed"] is False


def test_a_host_within_its_ranges_passes(node: Node) -> None:
    node.fetch()
    fact("accuracy", "soft_auc", "1")(node)
    fact("performance", "samples_per_second", "18309.5")(node)
    assert node.record()["run"]["verdict"]["reasons"] == []


def test_a_huge_log_is_no_log(node: Node) -> None:
    node.fetch()
    path = node.run_dir() / "performance/mlperf_log_detail.txt"
    path.chmod(0o644)
    with path.open("ab") as file:
        file.truncate(17 * 1024**2)
    verdict = node.record()["run"]["verdict"]
    assert verdict["status"] == "failed"
    assert "more than 16777216 bytes" in verdict["reasons"][0]

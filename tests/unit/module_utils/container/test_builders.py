"""Who builds the image for the others: named machines, the controller, the storage node, nobody."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.container.builders import (
    CONTROLLER,
    NAMED,
    STORAGE,
    Candidate,
    candidate,
    choose,
    kinds,
)
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed

ANSWER = {"architecture": "x86_64", "python": "/opt/venv/bin/python", "problem": ""}
NO_ENGINE = {"architecture": "", "python": "", "problem": "has no container engine that answers"}


def chosen(
    answers: dict[str, dict[str, Any]],
    named: tuple[str, ...] = (),
    architecture: str = "x86_64",
    measured: tuple[str, ...] = ("bench-01", "bench-02"),
) -> tuple[str, str]:
    """(builder, message) where each machine answers as given, and one not given does not."""
    order = kinds(named, "localhost", "storage-01")
    asked = {name: answers.get(name, {"unreachable": True}) for name in order}
    candidates = [candidate(name, kind, asked[name]) for name, kind in order.items()]
    choice = choose(architecture, candidates, measured)
    builder = choice.builder.name if choice.builder else ""
    return builder, choice.message("dlrm-bench:1", architecture)


EVERY = dict.fromkeys(("cheap-01", "cheap-02", "localhost", "storage-01", "bench-01"), ANSWER)


def test_a_named_machine_is_first() -> None:
    assert chosen(EVERY, ("cheap-02", "cheap-01"))[0] == "cheap-02"
    assert chosen({**EVERY, "cheap-02": NO_ENGINE}, ("cheap-02", "cheap-01"))[0] == "cheap-01"


def test_without_one_the_controller_builds() -> None:
    assert chosen(EVERY) == ("localhost", "localhost builds dlrm-bench:1 for x86_64.")


@pytest.mark.parametrize(
    "controller",
    [NO_ENGINE, {**ANSWER, "architecture": "aarch64"}, {"unreachable": True}, {"failed": True}],
)
def test_where_the_controller_cannot_the_storage_node_builds(controller: dict[str, Any]) -> None:
    assert chosen({**EVERY, "localhost": controller})[0] == "storage-01"


def test_where_nobody_can_each_host_builds_for_itself() -> None:
    """Measured hosts could build, and are not asked."""
    answers = {
        "localhost": {**ANSWER, "architecture": "aarch64"},
        "storage-01": NO_ENGINE,
        "bench-01": ANSWER,
    }
    assert chosen(answers, ("gone-01",)) == (
        "",
        "Each host builds dlrm-bench:1 for itself, as no machine builds it for x86_64: "
        "gone-01 does not answer; localhost has the architecture aarch64; storage-01 has no "
        "container engine that answers. Such images differ in their digests, and each record "
        "names its own.",
    )


def test_a_measured_host_builds_for_no_other() -> None:
    """Named or not; but the storage node, which keeps every image, may measure as well."""
    builder, message = chosen({"bench-01": ANSWER}, ("bench-01",))
    assert builder == ""
    assert "bench-01 is measured" in message
    measured = ("bench-01", "storage-01")
    assert chosen({"storage-01": ANSWER}, ("storage-01",), measured=measured)[0] == "storage-01"


def test_each_machine_is_asked_once_in_its_best_place() -> None:
    assert kinds(("a", "localhost", "a"), "localhost", "b") == {
        "a": NAMED,
        "localhost": CONTROLLER,
        "b": STORAGE,
    }
    assert kinds((), "localhost", "localhost") == {"localhost": STORAGE}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"failed_when_result": False, "msg": "no\nsuch module"},
        {**ANSWER, "problem": "a\nb"},
        {**ANSWER, "problem": None},
        {**ANSWER, "architecture": "x86_64; true"},
        {**ANSWER, "architecture": ["x86_64"]},
        {**ANSWER, "python": "python"},
        {**ANSWER, "python": "/opt/../bin/sh"},
        {**ANSWER, "python": "/bin/\nsh"},
    ],
)
def test_an_answer_of_another_shape_builds_nothing(answer: dict[str, Any]) -> None:
    """It is one machine's fault: the others are asked all the same."""
    builder, message = chosen({"cheap-01": answer, "localhost": ANSWER}, ("cheap-01",))
    assert builder == "localhost"
    assert message.isprintable()


def test_malformed_is_not_raised_through() -> None:
    try:
        found = candidate("a", NAMED, {**ANSWER, "python": 7})
    except Malformed:
        pytest.fail("one machine's answer must not end the choice")
    assert found == Candidate("a", NAMED, "", "", found.problem)
    assert "'python' of it must be a text" in found.problem

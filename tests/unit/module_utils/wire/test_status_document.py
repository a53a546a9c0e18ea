"""status.json as the contract's example and as a container might leave it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.exit_document import read_ended
from ansible.module_utils.dlrm_fleet.wire.status_document import read_status
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed

CONTRACTS = Path(__file__).resolve().parents[4] / "docs/contracts"
EXAMPLE: dict[str, Any] = json.loads((CONTRACTS / "examples/status.json").read_text())
ENDED: dict[str, Any] = {
    "schema_version": 1,
    "exit_code": 3,
    "oom_killed": False,
    "cause": "exception",
    "message": "cannot x.",
    "log_tail": ["last words"],
    "reaped_at": "2026-01-31T12:00:00Z",
}


def test_the_contracts_example_is_read() -> None:
    status = read_status(EXAMPLE, "status.json")
    assert (status.state, status.percent, status.unit) == ("running", 42.0, "rows/s")
    silent = {"percent": None, "rate": None, "unit": None, "eta_seconds": None}
    status = read_status({**EXAMPLE, **silent}, "status.json")
    assert (status.percent, status.rate, status.unit, status.eta_seconds) == (None, None, "", None)


@pytest.mark.parametrize("name", EXAMPLE)
def test_a_field_of_another_type_or_none_is_refused(name: str) -> None:
    document = {**EXAMPLE}
    del document[name]
    for wrong in (document, {**EXAMPLE, name: []}, {**EXAMPLE, name: {"a": 1}}):
        with pytest.raises(Malformed, match=name):
            read_status(wrong, "status.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 101, True, "42", 10**400])
def test_a_percentage_is_a_number_in_its_range(value: Any) -> None:
    with pytest.raises(Malformed, match="percent"):
        read_status({**EXAMPLE, "percent": value}, "status.json")


def test_an_end_is_read_as_it_was_written() -> None:
    assert read_ended(ENDED, "exit.json").as_dict() == ENDED
    assert read_ended({**ENDED, "exit_code": None}, "exit.json").exit_code is None


@pytest.mark.parametrize("name", sorted(set(ENDED) - {"log_tail", "exit_code"}))
def test_an_end_lacks_nothing(name: str) -> None:
    document = {**ENDED}
    del document[name]
    for wrong in (document, {**ENDED, name: []}):
        with pytest.raises(Malformed, match=name):
            read_ended(wrong, "exit.json")


@pytest.mark.parametrize("value", ["text", [1], {"a": "b"}])
def test_the_logs_end_is_a_list_of_texts(value: Any) -> None:
    with pytest.raises(Malformed, match="log_tail"):
        read_ended({**ENDED, "log_tail": value}, "exit.json")

"""One reader of the exit policy: for the request, and for the summary that ends a run."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.request.values import Problems, Reader


def read(value: object) -> tuple[str | int, list[str]]:
    problems = Problems()
    return Reader({"exit_policy": value}, problems).exit_policy("exit_policy"), problems.sentences


@pytest.mark.parametrize("value", ["some", "101", "0", "-1", "", "%", "50 %", "\u00b2", True, 1.5])
def test_other_policies_are_refused(value: object) -> None:
    assert read(value) == (
        "all",
        [
            f"exit_policy: {value!r} is not allowed; allowed: any, all, or a percentage of hosts"
            " from 1 to 100."
        ],
    )


@pytest.mark.parametrize(
    ("value", "policy"),
    [("80", 80), (80, 80), ("80%", 80), ("100%", 100), ("1", 1), ("any", "any"), ("all", "all")],
)
def test_a_percentage_may_say_so(value: object, policy: str | int) -> None:
    assert read(value) == (policy, [])

"""A module ends with what it did, or fails with its error's own words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.cloud.errors import QUOTA, CloudError


class Ended(Exception):
    pass


class Module:
    def __init__(self) -> None:
        self.params = {"name": "a"}
        self.check_mode = True
        self.ended: tuple[str, dict[str, Any]] | None = None

    def exit_json(self, **told: Any) -> None:
        self.ended = ("ok", told)
        raise Ended

    def fail_json(self, **told: Any) -> None:
        self.ended = ("failed", told)
        raise Ended


def ended(outcome: dict[str, Any] | Exception) -> tuple[str, dict[str, Any]] | None:
    def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
        assert (params, check) == ({"name": "a"}, True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    module = Module()
    with pytest.raises(Ended):
        finish(module, run)
    return module.ended


def test_a_module_changed_nothing_unless_it_says_so() -> None:
    assert ended({"lines": []}) == ("ok", {"changed": False, "lines": []})
    assert ended({"changed": True}) == ("ok", {"changed": True})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FleetError("cannot x", "y"), {"msg": "cannot x: y."}),
        (
            PermissionError(13, "Permission denied", "/x"),
            {"msg": "[Errno 13] Permission denied: '/x'"},
        ),
        (CloudError(QUOTA, "too many"), {"msg": "too many.", "kind": "quota"}),
    ],
)
def test_an_error_is_told_in_its_words(error: Exception, told: dict[str, Any]) -> None:
    assert ended(error) == ("failed", told)


def test_a_mistake_of_ours_stays_one() -> None:
    with pytest.raises(KeyError):
        finish(Module(), lambda params, _check: {"value": params["absent"]})

"""One request for a fleet: sources may differ by host, the rest may not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request.fleet import Given, fleet_requests, names
from ansible.module_utils.dlrm_fleet.request.request import normalise, request_sha256

from product_tables import PRECISIONS

INT8 = {"precision": "int8"}


def requests(**variables: dict[str, Any]) -> list[dict[str, Any]]:
    fleet = [Given((host,), {**INT8, **given}) for host, given in variables.items()]
    return fleet_requests(fleet, PRECISIONS)


def refusal(**variables: dict[str, Any]) -> str:
    with pytest.raises(FleetError) as caught:
        requests(**variables)
    return str(caught.value)


def test_a_fleet_of_one_kind_has_the_request_of_one_host() -> None:
    [found] = fleet_requests([Given(("a", "b"), INT8)], PRECISIONS)
    assert found == normalise(INT8, PRECISIONS)


def test_each_host_has_the_sha256_that_it_would_have_alone() -> None:
    one, other = {"data_source": "/data/one"}, {"data_source": "/data/other"}
    found = [request_sha256(request) for request in requests(a=one, b=other)]
    alone = [request_sha256(normalise({**INT8, **given}, PRECISIONS)) for given in (one, other)]
    assert found == alone
    assert found[0] != found[1]


def test_only_values_that_somebody_gives_are_named() -> None:
    """The deadline follows from the profile."""
    official = {"profile": "official", "weights_source": "/w", "data_source": "/d"}
    said = refusal(a={"profile": "demo", "data_source": "/d"}, b=official)
    assert said.splitlines()[0] == "profile: 'demo' on a, 'official' on b."
    assert "deadline" not in said


def test_what_all_hosts_have_wrong_is_said_once() -> None:
    said = refusal(a={"seed": "x", "data_source": "/a"}, b={"seed": "x", "data_source": "/b"})
    assert said.startswith("seed: 'x' is not allowed")
    assert said.count("seed") == 1


def test_secrets_in_values_are_not_shown() -> None:
    said = refusal(a={"row_cap": "https://u:hunter2@x/"}, b={"row_cap": 100})
    assert "hunter2" not in said


def test_many_hosts_are_counted() -> None:
    assert names("abcde") == "a, b, c, d, e"
    assert names("abcdef") == "a, b, c, d, e and 1 other"
    assert names("abcdefg") == "a, b, c, d, e and 2 others"

"""Modules dlrm_instance and dlrm_instance_info: their options reach the cloud by their names."""

from __future__ import annotations

from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from ansible.module_utils.dlrm_fleet.cloud import commands
from ansible.module_utils.dlrm_fleet.cloud.errors import QUOTA, CloudError
from ansible.module_utils.dlrm_fleet.cloud.model import Found, Leftover
from ansible.module_utils.dlrm_fleet.cloud.provider import (
    Access,
    Cloud as Description,
    Provider,
)
from ansible.module_utils.dlrm_fleet.cloud.registry import find
from module_runner import run_module

import dlrm_instance
import dlrm_instance_info

KEY = "ssh-ed25519 AAAA"
GROUP = {
    "types": ["c4a-highmem-32"],
    "zones": ["z-a"],
    "image": {"family": "x"},
    "disk": {"size_gib": 730},
    "ssh_user": "ubuntu",
}
PRICES = {
    "as_of": "2026-01-01",
    "gcp": {"machines": {"c4a-highmem-32": 2.0}, "disk": {"gib_month": 1.0}, "address_hour": 0.5},
}
WANTED = {
    "cloud": "gcp",
    "fleet": "dlrm",
    "project": "p-1",
    "groups": {"arm": GROUP},
    "chosen": ["arm"],
    "ssh_public_key": KEY,
    "ttl_seconds": 7200,
    "deadline_seconds": 3600,
    "transfer_seconds": 600,
    "budget_usd": 10,
    "prices": PRICES,
}


class Cloud:
    """Shows one machine and one disk; changes nothing."""

    def __init__(self) -> None:
        labels = {"project": "dlrm-fleet", "fleet": "dlrm", "machine": "dlrm-old-1"}
        born = datetime(2026, 1, 1, tzinfo=UTC)
        self.made_with: tuple[Any, ...] = ()
        self.refusal: CloudError | None = None
        self.found = Found("1", "dlrm-old-1", "z-a", "z", "t", "running", labels, born, "192.0.2.7")
        self.disk = Leftover("disk", "d-1", "z-a", labels)

    def list_machines(self, fleet: str | None) -> list[Found]:
        if self.refusal is not None:
            raise self.refusal
        return [self.found] if fleet in (None, "dlrm") else []

    def leftovers(self, fleet: str | None) -> list[Leftover]:
        return [self.disk]

    def host_keys(self, found: Found) -> list[str]:
        return [KEY]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud()

    def with_this_provider(name: str) -> Description:
        def sign_in(access: Access) -> Provider:
            cloud.made_with = (name, *astuple(access))
            return cast(Provider, cloud)

        return replace(find(name), open=sign_in)

    monkeypatch.setattr(commands, "find", with_this_provider)
    return cloud


def test_a_described_fleet_is_planned(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(dlrm_instance, capsys, **WANTED, _ansible_check_mode=True)
    assert (result["created"], result["changed"]) == (["dlrm-arm-1"], True)
    assert result["wanted"] == [{"name": "dlrm-arm-1", "role": "benchmark", "keep": False}]
    # 2 of the machine, 1 of the disk, 0.5 of the address, for two hours.
    assert result["cost_usd"] == 7.0
    assert cloud.made_with == ("gcp", None, "p-1", "", "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ttl_seconds": 5000}, "the TTL of 1 h 23 min is too short"),
        ({"budget_usd": 6}, "the fleet is over budget"),
        ({"budget_usd": None}, "dlrm_budget_usd is missing"),
        ({"memory_gib": 999}, "the machines do not fit the run"),
        ({"disk_gib": 731}, "has 730 GiB of disk, the run needs 731"),
        ({"chosen": ["x86"]}, "group 'x86' is not described (known groups: arm)"),
        ({"ssh_public_key": ""}, "arm.ssh_public_key|lacks ssh_public_key"),
        ({"groups": {"arm": "one"}}, "group 'arm' is a str, a mapping is wanted"),
    ],
)
@pytest.mark.usefixtures("cloud")
def test_each_option_is_judged(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    result = run_module(dlrm_instance, capsys, **{**WANTED, **changes}, _ansible_check_mode=True)
    assert result["failed"]
    assert any(words in result["msg"] for words in told.split("|")), result["msg"]


@pytest.mark.parametrize("names", [[], ["dlrm-old-1"]], ids=["all", "named"])
@pytest.mark.usefixtures("cloud")
def test_what_would_go_is_told(capsys: pytest.CaptureFixture[str], names: list[str]) -> None:
    asked = {"cloud": "gcp", "fleet": "dlrm", "state": "absent", "names": names}
    result = run_module(dlrm_instance, capsys, **asked, _ansible_check_mode=True)
    assert result["diff"] == {"before": "d-1\ndlrm-old-1\n", "after": ""}
    assert result["changed"] is True


@pytest.mark.usefixtures("cloud")
def test_a_name_the_fleet_does_not_have_goes_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"cloud": "gcp", "fleet": "dlrm", "state": "absent", "names": ["dlrm-new-1"]}
    assert "dlrm-new-1" in run_module(dlrm_instance, capsys, **asked)["msg"]


def test_a_refusal_tells_its_kind(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.refusal = CloudError(QUOTA, "a quota of Google Cloud is used up")
    result = run_module(dlrm_instance, capsys, **WANTED, _ansible_check_mode=True)
    assert (result["failed"], result["kind"]) == (True, "quota")


def test_host_keys_are_written_where_asked(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "known_hosts"
    asked = {"cloud": "gcp", "known_hosts": str(path), "prices": PRICES, "endpoint_url": "http://x"}
    result = run_module(dlrm_instance_info, capsys, **asked, _ansible_check_mode=True)
    assert [item["name"] for item in result["machines"]] == ["dlrm-old-1"]
    assert not path.exists()
    result = run_module(dlrm_instance_info, capsys, **asked)
    assert result["host_keys_missing"] == []
    assert path.read_text() == f"192.0.2.7 {KEY}\n"
    assert cloud.made_with == ("gcp", None, "", "", "http://x")

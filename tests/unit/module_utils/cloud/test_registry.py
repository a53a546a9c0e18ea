"""What is registered: each cloud's folder, inventory, sizes, prices and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.cloud import commands
from ansible.module_utils.dlrm_fleet.cloud.commands import FleetRequest
from ansible.module_utils.dlrm_fleet.cloud.registry import CLOUDS, find, make

REPOSITORY = Path(__file__).resolve().parents[4]
FOLDER = REPOSITORY / "module_utils/dlrm_fleet/cloud"
GROUP = {
    "types": ["r8g.8xlarge"],
    "zones": ["us-east-1a"],
    "image": {"id": "ami-1"},
    "disk": {"size_gib": 500},
    "ssh_user": "ubuntu",
}


def asked(**changes: Any) -> FleetRequest:
    """One machine of AWS, with all that it needs."""
    given: dict[str, Any] = {
        "cloud": "aws",
        "fleet": "dlrm",
        "regions": None,
        "project": "",
        "scheduler_role": "arn:aws:iam::123456789012:role/dlrm-fleet-ttl",
        "endpoint_url": "",
        "prices": {},
        "groups": {"arm": GROUP},
        "chosen": ["arm"],
        "ssh_public_key": "ssh-ed25519 AAAA",
        "ttl_seconds": 7200,
        "deadline_seconds": 60,
        "transfer_seconds": 60,
        "memory_gib": 232,
        "disk_gib": 465,
        "budget_usd": 100.0,
    }
    return FleetRequest(**{**given, **changes})


def test_every_folder_is_registered_and_has_an_inventory() -> None:
    assert sorted(path.parent.name for path in FOLDER.glob("*/cloud.py")) == sorted(CLOUDS)
    for name in CLOUDS:
        fleet = REPOSITORY / "inventories" / name / "fleet.yml"
        assert f"dlrm_instances_fleet_{name}:" in fleet.read_text()
        assert name in CLOUDS[name].prices


def test_an_unknown_cloud_is_refused() -> None:
    with pytest.raises(FleetError, match="there is no cloud 'azure': the clouds are aws, gcp"):
        make("azure")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"cloud": "aws", "regions": []}, "regions is missing.*dlrm_instances_aws_regions"),
        ({"cloud": "gcp", "regions": None}, "project is missing.*dlrm_instances_gcp_project"),
    ],
)
def test_what_a_cloud_needs_is_asked_for(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(FleetError, match=why):
        make(**settings)


def test_aws_looks_at_one_region_unless_told() -> None:
    assert make("aws").regions == ["us-east-1"]  # type: ignore[attr-defined]
    assert make("aws", ["a"]).regions == ["a"]  # type: ignore[attr-defined]


def test_aws_makes_nothing_without_the_role_that_ends_it() -> None:
    with pytest.raises(FleetError, match="dlrm_instances_aws_scheduler_role is empty"):
        commands.present(asked(scheduler_role=""), True)
    find("aws").check_creation(asked().access())
    find("gcp").check_creation(asked(scheduler_role="").access())


@pytest.mark.parametrize(
    ("cloud", "machine", "vcpus", "memory"),
    [
        ("aws", "r8g.8xlarge", 32, 256.0),
        ("aws", "m7i.large", 2, 8.0),
        ("aws", "c7g.medium", 1, 2.0),
        ("aws", "r8g.metal-24xl", 96, 768.0),
        ("aws", "x2.8xlarge", 32, 0.0),
        ("gcp", "c4a-highmem-32", 32, 256.0),
        ("gcp", "c4-highmem-32", 32, 248.0),
        ("gcp", "c3-standard-8-lssd", 8, 32.0),
        ("gcp", "mystery", 0, 0.0),
    ],
)
def test_sizes_are_read_from_names(cloud: str, machine: str, vcpus: int, memory: float) -> None:
    assert (find(cloud).vcpus(machine), find(cloud).memory_gib(machine)) == (vcpus, memory)


def test_a_users_prices_take_the_place_of_the_clouds_own() -> None:
    gcp = find("gcp")
    assert gcp.with_prices({}) == gcp.prices
    own = {"as_of": "2027-01", "gcp": {"machines": {"a": 1.0}}}
    assert gcp.with_prices(own) == own
    # Prices of another cloud say nothing of this one.
    found = gcp.with_prices({"as_of": "2027-01", "aws": {}})
    assert (found["as_of"], found["gcp"]) == (gcp.prices["as_of"], gcp.prices["gcp"])


class NoMachines:
    """A cloud in which nothing runs."""

    def list_machines(self, fleet: str | None) -> list[Any]:
        return []


def test_a_plan_says_how_a_cloud_ends_a_machine_and_what_it_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FleetRequest, "provider", lambda _asked: NoMachines())
    plan = commands.present(asked(), True)["plan"]
    assert plan[0] == "aws: 1 to create, 0 there already, 0 to remove"
    assert "256 GiB memory, 500 GiB disk" in plan[1]
    assert plan[-2].startswith("ends: by the cloud: a one-time schedule of EventBridge")
    assert plan[-1].startswith("bills after that: nothing")
    with pytest.raises(FleetError, match="r8g.8xlarge has 256 GiB of memory, the run needs 372"):
        commands.present(asked(memory_gib=372), True)

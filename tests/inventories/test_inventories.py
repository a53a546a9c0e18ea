"""Each inventory alone and each pair: same groups, same variables, nothing unresolved."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from .conftest import Clouds

# host: its groups; the address the controller uses (None: none, "aws": the one moto gave)
HOSTS: dict[str, dict[str, tuple[set[str], str | None]]] = {
    "local": {"local": ({"benchmark_hosts", "storage", "cloud_none"}, None)},
    "onprem": {
        "bench-01": ({"benchmark_hosts", "cloud_none", "arch_aarch64"}, "192.0.2.11"),
        "bench-02": ({"benchmark_hosts", "cloud_none", "arch_x86_64"}, "192.0.2.12"),
        "archive-01": ({"storage", "cloud_none", "arch_x86_64"}, "192.0.2.20"),
    },
    "aws": {
        "aws-bench-arm": (
            {"benchmark_hosts", "cloud_aws", "cloud", "arch_aarch64", "instance_r8g", "aws_ec2"},
            "aws",
        ),
        "aws-bench-x86": (
            {"benchmark_hosts", "cloud_aws", "cloud", "arch_x86_64", "instance_m7i", "aws_ec2"},
            "aws",
        ),
        "aws-archive": (
            {"storage", "cloud_aws", "cloud", "arch_x86_64", "instance_m7i", "aws_ec2"},
            "aws",
        ),
    },
    "gcp": {
        "gcp-bench-arm": (
            {"benchmark_hosts", "cloud_gcp", "cloud", "arch_aarch64", "instance_c4a"},
            "203.0.113.2",
        ),
        # It has no public address, so the private one is used.
        "gcp-bench-x86": (
            {"benchmark_hosts", "cloud_gcp", "cloud", "arch_x86_64", "instance_c3"},
            "10.164.0.2",
        ),
        "gcp-archive": (
            {"storage", "cloud_gcp", "cloud", "arch_x86_64", "instance_e2"},
            "203.0.113.3",
        ),
    },
    "azure": {
        "azure-bench-arm": (
            {"benchmark_hosts", "cloud_azure", "cloud", "arch_aarch64", "instance_epsv6"},
            "203.0.113.34",
        ),
        "azure-bench-x86": (
            {"benchmark_hosts", "cloud_azure", "cloud", "arch_x86_64", "instance_eadsv5"},
            "10.1.0.5",
        ),
        "azure-archive": (
            {"storage", "cloud_azure", "cloud", "arch_x86_64", "instance_dsv5"},
            "203.0.113.36",
        ),
    },
}
CLOUDS = {"aws", "gcp", "azure"}
STATIC_GROUPS = {
    "all",
    "ungrouped",
    "benchmark_hosts",
    "storage",
    "preparation_hosts",
    "arch_aarch64",
    "arch_x86_64",
    "cloud",
    "cloud_aws",
    "cloud_azure",
    "cloud_gcp",
    "cloud_none",
}
ALONE = [(name,) for name in HOSTS]
PAIRS = list(itertools.combinations(HOSTS, 2))
# Some pairs in the other order, which must not matter.
REVERSED = [("gcp", "local"), ("azure", "onprem"), ("gcp", "aws")]


def project_names(variables: dict[str, Any]) -> set[str]:
    """The variables that this project defines; the others come from Ansible and the clouds."""
    return {
        name
        for name in variables
        # The machines that a cloud's inventory describes belong to that cloud.
        if (name.startswith("dlrm_") and not name.startswith("dlrm_instances_fleet_"))
        or name == "profile"
    }


@pytest.fixture(scope="module")
def wanted_names(
    clouds: Clouds, tmp_path_factory: pytest.TempPathFactory
) -> tuple[set[str], dict[str, Any]]:
    """The variables that inventories/local gives its host; the others must give the same."""
    resolved = clouds.resolve("local", output=tmp_path_factory.mktemp("local") / "out")
    return project_names(resolved["local"]), resolved["localhost"]


@pytest.mark.parametrize("names", [*ALONE, *PAIRS, *REVERSED], ids="+".join)
def test_every_variable_resolves(
    clouds: Clouds,
    tmp_path: Path,
    wanted_names: tuple[set[str], dict[str, Any]],
    names: tuple[str, ...],
) -> None:
    resolved = clouds.resolve(*names, output=tmp_path / "out")
    fleet = {host: known for name in names for host, known in HOSTS[name].items()}
    # Each stand-in also holds stopped, untagged and other projects' machines; none may appear.
    assert resolved.keys() == {*fleet, "localhost"}
    assert project_names(resolved["localhost"]) == project_names(wanted_names[1])
    profile = "official" if CLOUDS.intersection(names) else "demo"
    for host, variables in resolved.items():
        assert variables["profile"] == profile, host
        assert "{{" not in str(variables), host
    for host, (groups, address) in fleet.items():
        variables = resolved[host]
        assert project_names(variables) == wanted_names[0], host
        isa = {group for group in variables["group_names"] if group.startswith("arch_")}
        assert len(isa) == 1, host
        assert set(variables["group_names"]) == groups | isa, host
        wanted = variables["aws_public_ip_address"] if address == "aws" else address
        assert variables.get("ansible_host") == wanted, host
    families = {group for known in fleet.values() for group in known[0]}
    found = set(resolved["localhost"]["groups"])
    assert found == STATIC_GROUPS | families


def test_private_addresses_by_one_variable(clouds: Clouds, tmp_path: Path) -> None:
    choice = {"dlrm_connection_address": "private"}
    resolved = clouds.resolve("aws", "gcp", "azure", output=tmp_path / "out", extra=choice)
    assert resolved["gcp-bench-arm"]["ansible_host"] == "10.128.0.2"
    assert resolved["azure-bench-arm"]["ansible_host"] == "10.1.0.4"
    amazon = resolved["aws-bench-arm"]
    assert amazon["ansible_host"] == amazon["aws_private_ip_address"]


def test_storage_reaches_neighbours_by_their_private_address(
    clouds: Clouds, tmp_path: Path
) -> None:
    resolved = clouds.resolve("gcp", "azure", output=tmp_path / "out")
    # gcp-archive, the first storage node: gcp-bench-arm is in its cloud, azure-bench-arm is not.
    assert resolved["gcp-archive"]["dlrm_storage_source"]["address"] == ""
    assert resolved["gcp-bench-arm"]["dlrm_storage_source"]["address"] == "10.128.0.2"
    assert resolved["azure-bench-arm"]["dlrm_storage_source"]["address"] == "203.0.113.34"

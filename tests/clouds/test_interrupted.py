"""The cloud takes a spot machine back: its host gets a verdict, and nothing of it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .stand_in.aws import Hardware
from .stand_in.faults import Call
from .test_conformance import names
from .worlds import FLEET, AwsWorld

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AwsWorld]:
    made = AwsWorld(tmp_path)
    made.show_host_key(names(1)[0], KEY)
    # No machine runs behind the address, so no connection succeeds.
    made.server.application.hardware = Hardware(
        {names(1)[0]: "127.0.0.1"}, lambda _address, _on: None
    )
    yield made
    made.server.stop()


def inventory(world: AwsWorld, folder: Path) -> Path:
    folder.mkdir()
    for name in ("groups.yml", "group_vars"):
        (folder / name).symlink_to(ROOT / "inventories/common" / name)
    cloud = (ROOT / "inventories/aws/aws_ec2.yml").read_text()
    (folder / "aws_ec2.yml").write_text(cloud + "regions: [us-east-1]\n")
    variables = {
        "dlrm_instances_fleet_aws": {"arm": world.group(1, spot=True)},
        "dlrm_instances_groups": ["arm"],
        "dlrm_instances_fleet_name": FLEET,
        "dlrm_instances_aws_endpoint_url": world.server.url,
        "dlrm_instances_aws_scheduler_role": world.role,
        "dlrm_instances_known_hosts": str(folder.parent / "known_hosts"),
    }
    storage = {"hosts": {"archive": {"ansible_host": "127.0.0.1"}}}
    document = {"all": {"vars": variables, "children": {"storage": storage}}}
    (folder / "zz_fleet.yml").write_text(json.dumps(document))
    return folder


def test_a_spot_machine_taken_back_is_interrupted(world: AwsWorld, tmp_path: Path) -> None:
    name = names(1)[0]
    reached = tmp_path / "reached"

    def taken(_call: Call) -> None:
        """Ends the machine in the cloud at the first attempt to reach it."""
        if reached.exists() and world.server.alive():
            world.end_by_hand(name)

    world.server.faults.rules.append(taken)
    asked = {
        "precision": "int8",
        "profile": "demo",
        "dlrm_budget_usd": 100,
        "dlrm_connection_timeout_seconds": 2,
        "ansible_ssh_common_args": f"-o ProxyCommand='touch {reached}'",
    }
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"), "run_benchmark.yml",
            "-i", str(inventory(world, tmp_path / "inventory")), "-e", json.dumps(asked),
        ],
        cwd=ROOT,
        env={
            **os.environ, **world.environment(), "AWS_ENDPOINT_URL": world.server.url,
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        timeout=900,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    [path] = (tmp_path / "state/dlrm-fleet").glob("verdict-*.json")
    [row] = json.loads(path.read_text())["results"]
    assert (row["host"], row["status"]) == (name, "interrupted"), said
    assert "the cloud took the spot machine back" in row["failure"]["message"]
    assert world.server.alive() == []

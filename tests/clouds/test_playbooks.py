"""Runs provision, orphans and teardown as an operator does, against each stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .test_conformance import names
from .worlds import FLEET, World

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


class Operator:
    """Calls playbooks with the project's own inventory and price table."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.known_hosts = folder / "known_hosts"
        (folder / "id.pub").write_text(KEY + "\n")

    def play(self, playbook: str, *more: str, **variables: object) -> tuple[int, str]:
        settings = self.world.settings()
        cloud = settings.pop("cloud")
        given = {
            **{f"dlrm_instances_{cloud}_{key}": value for key, value in settings.items()},
            f"dlrm_instances_fleet_{cloud}": {"arm": self.world.group(1)},
            "dlrm_instances_groups": ["arm"],
            "dlrm_instances_fleet_name": FLEET,
            "dlrm_instances_known_hosts": str(self.known_hosts),
            "dlrm_instances_ssh_public_key_file": str(self.folder / "id.pub"),
            **variables,
        }
        if "dlrm_instances_aws_scheduler_role" not in given:
            given["dlrm_instances_aws_scheduler_role"] = "arn:unused"
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                f"playbooks/{playbook}.yml", "-i", "inventories/common", "-e", json.dumps(given),
                *more,
            ],
            cwd=ROOT,
            env={**os.environ, **self.world.environment()},
            capture_output=True,
            text=True,
            timeout=600,
        )  # fmt: skip
        # Ansible wraps long lines, so join them again.
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Operator:
    return Operator(world, tmp_path)


def test_check_prints_the_plan_and_asks_for_nothing(operator: Operator) -> None:
    code, said = operator.play("provision", "--check", dlrm_budget_usd=100)
    assert code == 0, said
    assert f"+ {names(1)[0]} {operator.world.type}" in said
    assert "USD an hour" in said
    assert "bills after that" in said
    assert operator.world.server.bills() == []


def test_without_or_over_the_budget_nothing_is_asked_for(operator: Operator) -> None:
    code, said = operator.play("provision")
    assert code != 0
    assert "dlrm_budget_usd is missing" in said
    code, said = operator.play("provision", dlrm_budget_usd=10)
    assert code != 0
    assert "over budget" in said
    assert operator.world.server.faults.calls["create"] == 0


def test_provision_orphans_teardown(operator: Operator) -> None:
    world = operator.world
    world.show_host_key(names(1)[0], KEY)
    code, said = operator.play("provision", dlrm_budget_usd=100)
    assert code == 0, said
    assert world.server.alive() == names(1)
    address = world.listed()[0].public_address
    assert f"{address} {KEY}" in operator.known_hosts.read_text().splitlines()

    code, said = operator.play("provision", dlrm_budget_usd=100)
    assert code == 0, said
    assert "changed=0" in said

    code, said = operator.play("orphans")
    assert code == 0, said
    assert f"{FLEET} {names(1)[0]} {world.type}" in said
    assert "USD so far" in said

    code, said = operator.play("teardown")
    assert code == 0, said
    assert f"- {names(1)[0]}" in said
    assert world.server.bills() == []
    code, said = operator.play("teardown")
    assert code == 0, said
    assert "changed=0" in said

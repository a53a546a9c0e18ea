"""The role finds a cloud of any name by its variable dlrm_instances_fleet_<cloud>."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import playbook
import pytest

DESCRIBED: dict[str, Any] = {
    "dlrm_instances_fleet_nimbus": {"arm": {}},
    "dlrm_instances_fleet_aws": {},
}
NO_NIMBUS = "there is no cloud 'nimbus': the clouds are aws, gcp"


def tasks(part: str) -> list[dict[str, Any]]:
    role = {"name": str(playbook.REPOSITORY / "roles/dlrm_instances"), "tasks_from": part}
    return [{"name": "Include", "ansible.builtin.include_role": role}]


@pytest.mark.parametrize("part", ["list.yml", "main.yml", "some.yml"])
def test_a_described_cloud_reaches_the_module_by_its_name(tmp_path: Path, part: str) -> None:
    some = {"dlrm_instances_some": {"nimbus": ["a"]}, "dlrm_instances_budget_usd": 1}
    ended = playbook.run(tmp_path, tasks(part), variables={**DESCRIBED, **some})
    assert ended.code == 2, ended.output
    assert NO_NIMBUS in ended.words
    assert "(item=aws)" not in ended.output


def test_a_fleet_without_a_cloud_is_refused(tmp_path: Path) -> None:
    ended = playbook.run(tmp_path, tasks("main.yml"), variables={"dlrm_instances_fleet_aws": {}})
    assert ended.code == 2, ended.output
    assert "The inventory describes no cloud" in ended.words


@pytest.mark.parametrize(
    ("variables", "provisions"),
    [
        ({}, "False"),
        ({"dlrm_instances_fleet_name": "x", "dlrm_instances_fleet_aws": {}}, "False"),
        (DESCRIBED, "True"),
    ],
)
def test_machines_are_acquired_where_some_are_described(
    tmp_path: Path, variables: dict[str, Any], provisions: str
) -> None:
    common = playbook.REPOSITORY / "inventories/common"
    say = {"name": "Say", "ansible.builtin.debug": {"msg": "acquires {{ provision }}"}}
    ended = playbook.run(tmp_path, [say], "-i", str(common), variables=variables)
    assert ended.code == 0, ended.output
    assert f"acquires {provisions}" in ended.words

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_instance
short_description: Acquire or release the machines of a fleet in a cloud
description:
  - Compares the described machines with those that carry the fleet's labels, and creates, adopts or
    removes what differs. Never touches a machine that lacks a label.
  - A repeated request never makes a second machine. If one machine cannot be acquired, the machines
    that this call made are removed again.
  - Every machine has a time to live that the cloud enforces, even if the controller is dead.
options:
  fleet:
    description: The fleet's name; part of each machine's name.
    type: str
    required: true
  state:
    description: V(absent) removes the machines and their disks, addresses and schedules.
    type: str
    choices: [present, absent]
    default: present
  groups:
    description: Described groups of machines, as in C(dlrm_instances_fleet_aws).
    type: dict
    default: {}
  chosen:
    description: The groups to acquire.
    type: list
    elements: str
    default: []
  ssh_public_key:
    description: The login key of groups that name none.
    type: str
    default: ""
  names:
    description: With V(absent), remove only these machines. Empty means the whole fleet.
    type: list
    elements: str
    default: []
  ttl_seconds:
    description: How long each machine lives at most. At least deadline + transfer + 30 min.
    type: int
    default: 0
  deadline_seconds:
    description: The run's deadline.
    type: int
    default: 0
  transfer_seconds:
    description: How long bringing the run files home may take.
    type: int
    default: 0
  budget_usd:
    description: What the fleet may cost until its TTL, in USD. Required with V(present).
    type: float
  memory_gib:
    description: Memory that the run needs on a benchmark host, in GiB.
    type: float
    default: 0
  disk_gib:
    description: Disk that the run needs on a benchmark host, in GiB.
    type: float
    default: 0
  cloud:
    description: Which cloud.
    type: str
    required: true
    choices: [aws, gcp]
  regions:
    description: Regions to look at. Needed on AWS; on Google empty means all of the project.
    type: list
    elements: str
    default: []
  project:
    description: The Google project's id.
    type: str
    default: ""
  scheduler_role:
    description: ARN of the role EventBridge Scheduler assumes to terminate machines on AWS.
    type: str
    default: ""
  endpoint_url:
    description: Another address of the cloud's API, for private endpoints.
    type: str
    default: ""
  prices:
    description: The dated price table, as in C(dlrm_instances_prices).
    type: dict
    default: {}
attributes:
  check_mode: {support: full, description: Reads the cloud and returns the plan.}
  diff_mode: {support: full, description: The machines' names.}
  idempotent: {support: full, description: Finds its machines by their labels.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Acquire the fleet
  dlrm_instance:
    cloud: gcp
    project: my-project
    fleet: dlrm
    groups: "{{ dlrm_instances_fleet_gcp }}"
    chosen: [int8-rerun]
    ttl_seconds: 100800
    deadline_seconds: 86400
    transfer_seconds: 3600
    budget_usd: 80
    prices: "{{ dlrm_instances_prices }}"
  delegate_to: localhost

- name: Release it
  dlrm_instance:
    cloud: gcp
    project: my-project
    fleet: dlrm
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
plan:
  description: What was done, or in check mode would be done, one line for each machine.
  returned: success
  type: list
  elements: str
  sample: ["aws: 1 to create, 0 there already, 0 to remove"]
cost_usd:
  description: What the wanted machines cost until their TTL, by the price table.
  returned: with O(state=present)
  type: float
  sample: 31.4
created:
  description: Names of the machines this call made, or in check mode would make.
  returned: with O(state=present)
  type: list
  elements: str
wanted:
  description: The described machines; each with name, role and keep (no benchmark releases it).
  returned: with O(state=present)
  type: list
  elements: dict
removed:
  description: Names of the machines this call removed, or in check mode would remove.
  returned: with O(state=present)
  type: list
  elements: str
machines:
  description: The fleet's machines; name, type, zone, addresses, expires_at, cost_usd and so on.
  returned: success
  type: list
  elements: dict
kind:
  description: The kind of refusal; credentials, permission, quota, capacity and so on.
  returned: failure, when the cloud refused
  type: str
  sample: quota
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.cloud.commands import (
    CLOUD_OPTIONS,
    FleetRequest,
    absent,
    present,
)

ARGUMENTS: dict[str, Any] = {
    "fleet": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "groups": {"type": "dict", "default": {}},
    "chosen": {"type": "list", "elements": "str", "default": []},
    "ssh_public_key": {"type": "str", "default": "", "no_log": False},
    "names": {"type": "list", "elements": "str", "default": []},
    "ttl_seconds": {"type": "int", "default": 0},
    "deadline_seconds": {"type": "int", "default": 0},
    "transfer_seconds": {"type": "int", "default": 0},
    "budget_usd": {"type": "float"},
    "memory_gib": {"type": "float", "default": 0},
    "disk_gib": {"type": "float", "default": 0},
    **CLOUD_OPTIONS,
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    asked = {name: value for name, value in params.items() if name != "state"}
    do = present if params["state"] == "present" else absent
    outcome: dict[str, Any] = do(FleetRequest(**asked), check)
    return outcome


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

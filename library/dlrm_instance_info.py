#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_instance_info
short_description: List our machines in a cloud, with their age and cost
description:
  - Lists machines, disks, addresses and schedules with our labels in all configured regions.
  - With O(known_hosts), also brings the machines' host keys from the cloud's own channel (console
    output on AWS, guest attributes on Google) into that file on the controller.
options:
  fleet:
    description: Only this fleet. Empty means all.
    type: str
    default: ""
  known_hosts:
    description: The file that the host keys are merged into. Lines of other addresses stay.
    type: path
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
  check_mode: {support: full, description: Does not write O(known_hosts).}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Look for forgotten machines
  dlrm_instance_info:
    cloud: aws
    regions: [us-east-1, us-west-2]
  delegate_to: localhost
  register: found
"""

RETURN = r"""
lines:
  description: What is there, one line for each machine, disk, address and schedule.
  returned: success
  type: list
  elements: str
machines:
  description: Each with name, fleet, type, zone, state, age, cost_usd, expires_at, protected.
  returned: success
  type: list
  elements: dict
leftovers:
  description: Disks, addresses and schedules; each with kind, id, place.
  returned: success
  type: list
  elements: dict
host_keys_missing:
  description: Machines whose host key the cloud does not show yet.
  returned: with known_hosts
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.cloud.commands import CLOUD_OPTIONS, FleetRequest, information

ARGUMENTS: dict[str, Any] = {
    "fleet": {"type": "str", "default": ""},
    "known_hosts": {"type": "path"},
    **CLOUD_OPTIONS,
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    asked = {name: value for name, value in params.items() if name != "known_hosts"}
    found: dict[str, Any] = information(FleetRequest(**asked), params["known_hosts"], check)
    return found


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

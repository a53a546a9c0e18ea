#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_release_plan
short_description: Decide which cloud machines are released after a benchmark
description:
  - A machine goes if the storage node has its host's results, or if no run was opened on it.
  - Any other machine stays until its TTL. Only computes; M(dlrm_instance) releases.
options:
  policy:
    description: V(always), V(passed) (machines of hosts that did not pass stay) or V(never).
    type: str
    choices: [always, passed, never]
    required: true
  machines:
    description: The fleet's machines now, as M(dlrm_instance_info) returns them.
    type: list
    elements: dict
    default: []
  before:
    description: The fleet's machines, as this command acquired them.
    type: list
    elements: dict
    default: []
  created:
    description: Names of the machines this command made.
    type: list
    elements: str
    default: []
  hosts:
    description: The hosts of this command.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The host's name, which is also its machine's name.
        type: str
        required: true
      run_id:
        description: The run of this command; left out when none was found or made.
        type: str
      runs:
        description: As M(dlrm_run_info) returned them; left out when nobody could read them.
        type: list
        elements: dict
      opened:
        description: Whether this command opened its run there.
        type: bool
        default: false
      verdict:
        description: Of the host's record on the storage node; left out when there is none.
        type: dict
attributes:
  check_mode: {support: full, description: Only computes.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Decide which machines go
  dlrm_release_plan:
    policy: always
    machines: "{{ dlrm_instances_machines }}"
    hosts: [{host: dlrm-int8-rerun-1, runs: [], verdict: {status: passed}}]
  delegate_to: localhost
  register: plan
"""

RETURN = r"""
release:
  description: Names of the machines that go, by cloud. A cloud with none is left out.
  returned: always
  type: dict
  sample: {aws: [dlrm-int8-rerun-1]}
lines:
  description: A sentence for each machine; for one that stays, with its cost.
  returned: always
  type: list
  elements: str
interrupted:
  description: By host, why its machine ended before its results were stored.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.times import utc_now
from ansible.module_utils.dlrm_fleet.cloud.release_decision import as_host, decide, interrupted

ARGUMENTS: dict[str, Any] = {
    "policy": {"type": "str", "choices": ["always", "passed", "never"], "required": True},
    "machines": {"type": "list", "elements": "dict", "default": []},
    "before": {"type": "list", "elements": "dict", "default": []},
    "created": {"type": "list", "elements": "str", "default": []},
    "hosts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "run_id": {"type": "str"},
            "runs": {"type": "list", "elements": "dict"},
            "opened": {"type": "bool", "default": False},
            "verdict": {"type": "dict"},
        },
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    hosts = [as_host(known) for known in params["hosts"]]
    plan = decide(params["policy"], params["machines"], hosts, params["created"])
    ended = interrupted(hosts, params["before"], params["machines"], utc_now())
    module.exit_json(changed=False, interrupted=ended, **plan)


if __name__ == "__main__":
    main()

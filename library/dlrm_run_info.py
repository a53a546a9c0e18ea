#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_run_info
short_description: List the runs a host knows
description:
  - Reads every run's lock below O(root); says who holds it and whether the holder still lives.
extends_documentation_fragment: [dlrm.reads]
options:
  root:
    description: The host's root folder. One that does not exist has no runs.
    type: path
    required: true
  run_id:
    description: The run that the user named, if any. RV(busy) is empty when it is recorded.
    type: str
  controller:
    description: As M(dlrm_request) returned it; without it RV(busy) stays empty.
    type: dict
  gone:
    description: Controllers that are known to have ended. Their runs are orphaned. The action
      plugin finds those that ran on its own machine.
    type: list
    elements: dict
    default: []
  wait_seconds:
    description:
      - Wait up to this many seconds for the end of another controller's live run. The module itself
        never waits. The action plugin of the same name calls it repeatedly, each time briefly.
    type: int
    default: 0
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Look for runs
  dlrm_run_info:
    root: /srv/dlrm
  register: found

- name: Wait up to ten minutes for whoever holds the host
  dlrm_run_info:
    root: /srv/dlrm
    controller: "{{ read.controller }}"
    wait_seconds: 600
  register: found
"""

RETURN = r"""
runs:
  description:
    - Oldest first; run_id, request_sha256, controller, opened_at, deadline, lease_until, measured
      (its performance stage is done) and state, one of closed (recorded), orphaned (its process on
      this machine or the controller's is gone), lapsed (its lease ended), damaged (its lock cannot
      be read) and live.
  returned: success
  type: list
  elements: dict
busy:
  description: Who else holds this host and since when; empty when nobody does.
  returned: success
  type: str
machine:
  description: This machine, boot and pid namespace, hashed. Equal for two names of one machine.
  returned: success
  type: str
gone:
  description: O(gone) with what the action plugin found, for M(dlrm_run).
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id
from ansible.module_utils.dlrm_fleet.runs.runs import Runs, busy

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "run_id": {"type": "str"},
    "controller": {"type": "dict"},
    "gone": {"type": "list", "elements": "dict", "default": []},
    "wait_seconds": {"type": "int", "default": 0},
}


def held(runs: Runs, params: dict[str, Any]) -> str:
    if params["controller"] is None or (params["run_id"] and runs.is_closed(params["run_id"])):
        return ""
    foreign = runs.busy(params["controller"])
    return busy(foreign)[0] if foreign is not None else ""


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    root = Path(module.params["root"])
    try:
        with as_owner_of(root):
            runs = Runs(root, module.params["gone"])
            listed, busy_with = runs.listed(), held(runs, module.params)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))
    for run in listed:
        if run["state"] == "damaged":
            module.warn(run["damage"])
    module.exit_json(
        changed=False,
        runs=listed,
        busy=busy_with,
        machine=machine_id(),
        gone=module.params["gone"],
    )


if __name__ == "__main__":
    main()

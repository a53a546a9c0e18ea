#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_run_info
short_description: List the runs a host knows
description:
  - Reads every run's lock below O(root) and says who holds it and whether that one still lives.
options:
  root:
    description: The host's root folder. One that does not exist has no runs.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Look for runs
  dlrm_run_info:
    root: /srv/dlrm
  register: found
"""

RETURN = r"""
runs:
  description:
    - Oldest first; run_id, request_sha256, controller, opened_at, deadline, lease_until, measured
      (its performance stage is done) and state, one of closed (recorded), orphaned (its process on
      this machine is gone), lapsed (its lease ended) and live.
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.documents import FleetError
from ansible.module_utils.dlrm_fleet.run import Runs

ARGUMENTS: dict[str, Any] = {"root": {"type": "path", "required": True}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        runs = Runs(Path(module.params["root"])).listed()
    except FleetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, runs=runs)


if __name__ == "__main__":
    main()

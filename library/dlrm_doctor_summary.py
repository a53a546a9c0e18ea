#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_doctor_summary
short_description: Say for each host what prevents a run
description:
  - Words what was found on hosts, with remedies. Reads and writes nothing.
options:
  hosts:
    description:
      - One entry for each host. It has name, and either failure or these; problems and host of
        M(dlrm_host_info), engine, daemon, live_restore, sent, clock and received.
    type: list
    elements: dict
    required: true
attributes:
  check_mode: {support: full, description: Only computes.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Say what is missing
  dlrm_doctor_summary:
    hosts:
      - name: arm-01
        failure: {phase: unreachable, message: Connection timed out}
  register: doctor
"""

RETURN = r"""
lines:
  description: Each host's findings, what is missing first.
  returned: always
  type: list
  elements: str
fit:
  description: Whether nothing prevents a run.
  returned: always
  type: bool
unfit:
  description: Names of the hosts that are not ready.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.support import doctor

ARGUMENTS: dict[str, Any] = {"hosts": {"type": "list", "elements": "dict", "required": True}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    found = {seen["name"]: doctor.host_findings(seen) for seen in module.params["hosts"]}
    lines = [line for name, one in found.items() for line in doctor.lines(name, one)]
    unfit = [name for name, one in found.items() if not doctor.is_fit(one)]
    module.exit_json(changed=False, lines=lines, fit=not unfit, unfit=unfit)


if __name__ == "__main__":
    main()

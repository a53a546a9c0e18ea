#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_reachable
short_description: Wait a bounded time until a machine answers, and say who logs in where
description:
  - Like M(ansible.builtin.wait_for_connection), but it uses an open connection as it is and asks
    the machine only for its user's name, not for a Python. Every part of a run begins with it, so
    it costs almost nothing when the machine answers.
  - User, address and port may stand in C(~/.ssh/config) only. So the machine is asked for the
    user, and C(ssh -G) for the other two.
  - The action plugin of the same name does the work. The module itself only answers.
options:
  timeout:
    description: Fail when there is no answer for this many seconds (monotonic clock).
    type: float
    default: 60
attributes:
  check_mode: {support: full, description: Skipped in check mode.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Wait for the connection
  dlrm_reachable:
    timeout: 120
  # For a connection that neither answers nor breaks.
  timeout: 180
"""

RETURN = r"""
user:
  description: The login user, as C(id -un) prints it. Escalation plays no part.
  returned: when the machine answers
  type: str
asked:
  description: The name or address that ssh was asked for.
  returned: when the connection is SSH
  type: str
address:
  description: The name or address that ssh connects to, after its configuration.
  returned: when the connection is SSH
  type: str
port:
  description: The port that ssh connects to, after its configuration.
  returned: when the connection is SSH
  type: int
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {"timeout": {"type": "float", "default": 60}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

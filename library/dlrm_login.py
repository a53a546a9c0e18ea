#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_login
short_description: Say who the connection logs in as, and where
description:
  - User, address and port may stand in C(~/.ssh/config) only. So the machine is asked for the user,
    and C(ssh -G) for the other two. The storage node's keys are for this user.
  - The action plugin of the same name does the work. The module itself only answers.
options: {}
attributes:
  check_mode: {support: full, description: Same answer.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Ask the connection for its user and address
  dlrm_login:
  register: login
"""

RETURN = r"""
user:
  description: The login user, as C(id -un) prints it; empty if the machine has no name for it.
  returned: always
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

ARGUMENTS: dict[str, Any] = {}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

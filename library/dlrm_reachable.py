#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_reachable
short_description: Wait a bounded time until a machine answers
description:
  - Like M(ansible.builtin.wait_for_connection), but it uses an open connection as it is and asks
    the machine only for an echo, not for a Python. Every part of a run begins with it, so it costs
    almost nothing when the machine answers.
  - A name that does not resolve, and an address for documentation, are named with the place where
    the right one belongs. A name that does not exist is not waited for.
  - The action plugin of the same name does the work. The module itself only answers.
options:
  timeout:
    description: Fail when there is no answer for this many seconds (monotonic clock).
    type: float
    default: 60
attributes:
  check_mode: {support: full, description: Changes nothing.}
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
{}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {"timeout": {"type": "float", "default": 60}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

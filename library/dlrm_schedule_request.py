#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_schedule_request
short_description: Keep the request of a schedule, without secrets in it
description:
  - Writes the variables of a schedule into C(extra_vars.json) of O(folder), for root and the
    schedule's group.
  - A source that holds a secret (userinfo or a signature in a URL, a key in a remote) is refused.
    But if the schedule holds one today, the secret is moved into a file of mode 0600 in O(folder),
    which the variables then name, and a warning says so.
options:
  folder:
    description: The schedule's folder.
    type: path
    required: true
  variables:
    description:
      - The schedule's variables, as one JSON text. Ansible hides this text whole.
    type: json
    required: true
  command:
    description: The command that replaces the playbook, a list as one JSON text.
    type: json
    default: "[]"
  uid:
    description: The schedule's user, to whom files of secrets belong.
    type: int
    required: true
  gid:
    description: The user's group, which can read the variables.
    type: int
    required: true
attributes:
  check_mode: {support: full, description: Says what would be written and moved.}
  diff_mode: {support: full, description: The variables, without secrets.}
  idempotent: {support: full, description: Writes only what differs.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Write the request
  dlrm_schedule_request:
    folder: /var/lib/dlrm-schedule/benchmark
    variables: "{{ {'precision': 'int8'} | to_json }}"
    uid: 1000
    gid: 1000
  become: true
"""

RETURN = r"""
moved:
  description: The sources whose secret was moved into a file of its own.
  returned: success
  type: list
  elements: str
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request.scheduled import (
    apply,
    plan,
    refuse_command,
    stored_variables,
)

ARGUMENTS: dict[str, Any] = {
    "folder": {"type": "path", "required": True},
    "variables": {"type": "json", "required": True, "no_log": True},
    "command": {"type": "json", "default": "[]", "no_log": True},
    "uid": {"type": "int", "required": True},
    "gid": {"type": "int", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    folder = Path(params["folder"])
    try:
        refuse_command(json.loads(params["command"]))
        planned = plan(json.loads(params["variables"]), stored_variables(folder), folder)
        outcome = apply(planned, folder, params["uid"], params["gid"], module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error))
    done = "would move" if module.check_mode else "moved"
    for path in planned.secrets:
        module.warn(
            f"The request of this schedule held a secret. It {done} into {str(path)!r}, mode 0600."
            " From now on change it there, and leave it out of dlrm_schedule_extra_vars."
        )
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()

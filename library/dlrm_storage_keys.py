#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_keys
short_description: Make or remove a fleet's two SSH keys on the storage node
description:
  - One key reads below a host's root, the other writes into its C(incoming/).
    M(dlrm_storage_access) sets on each host what they may do. The private halves never leave the
    storage node.
options:
  folder:
    description: The folder that holds the keys of all fleets.
    type: path
    default: /etc/dlrm-fleet/storage
  fleet:
    description: Name of the fleet.
    type: str
    required: true
  state:
    description: V(absent) removes both keys and the known hosts; nothing changes on the hosts.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode: {support: full, description: Says whether keys would be made.}
  diff_mode: {support: none, description: Keys are not shown}
  idempotent: {support: full, description: Keys are made once.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Ensure the fleet's keys
  dlrm_storage_keys:
    fleet: lab
  delegate_to: storage-01
  register: keys
"""

RETURN = r"""
public:
  description: The public halves, by V(read) and V(write); empty if there are no keys.
  returned: always
  type: dict
addresses:
  description: The addresses this machine sends from, as it sees them itself.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import as_owner
from ansible.module_utils.dlrm_fleet.base.commands import Runner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage import key_files

ARGUMENTS: dict[str, Any] = {
    "folder": {"type": "path", "default": "/etc/dlrm-fleet/storage"},
    "fleet": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], command: Runner, check: bool) -> dict[str, Any]:
    folder = key_files.fleet_folder(Path(params["folder"]), params["fleet"])
    addresses = key_files.own_addresses()
    if params["state"] == "absent":
        changed = key_files.remove_keys(folder, check)
        return {"changed": changed, "public": {"read": "", "write": ""}, "addresses": addresses}

    def ensure() -> dict[str, Any]:
        changed, public = key_files.ensure_keys(folder, command, check)
        return {"changed": changed, "public": public, "addresses": addresses}

    return as_owner(folder, ensure)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, lambda params, check: run(params, module.run_command, check))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_ways
short_description: Try the ways from the storage node to hosts and to its own disk
description:
  - Tries all of them side by side, each for at most 5 s. Changes nothing.
extends_documentation_fragment: [dlrm.reads]
options:
  name:
    description: The storage node's name in the inventory.
    type: str
    required: true
  root:
    description: Where the storage node keeps artifacts and runs; it need not exist yet.
    type: path
    required: true
  hosts:
    description:
      - By each host's name, how the storage node reaches it; address, user, port, key_file,
        fleet_dir, known_hosts_file and jump. Without an address both are one machine.
    type: dict
    default: {}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Try the storage node's ways
  dlrm_storage_ways:
    name: archive-01
    root: /srv/dlrm-storage
    hosts:
      arm-01: {address: 192.0.2.11, user: bench, fleet_dir: /etc/dlrm-fleet/storage/default}
  become: true
"""

RETURN = r"""
ways:
  description: What became of each, as a list of what, start, end, state, why and todo.
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage.node.ways import try_ways

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "root": {"type": "path", "required": True},
    "hosts": {"type": "dict", "default": {}},
}


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    found = try_ways(params["name"], Path(params["root"]), params["hosts"])
    return {"ways": [way.document() for way in found]}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

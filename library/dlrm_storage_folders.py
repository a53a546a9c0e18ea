#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_folders
short_description: Give the storage node's folders to the user who works there
description:
  - Makes the storage root and the folder of the fleet's keys, and gives both to one user, with all
    that root made in them. Follows no link.
  - A storage root that belongs to another ordinary user stays theirs. One below a folder that is
    closed to other users stays root's.
extends_documentation_fragment: [dlrm.storage_node]
options:
  keys:
    description: The folder of the fleet's keys. Only the owner may look into it.
    type: path
    required: true
  user:
    description: Who shall own both. The user exists.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Says what would be made or given away.}
  diff_mode: {support: none, description: Returns what was made or given away.}
  idempotent: {support: full, description: What belongs to the owner stays as it is.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Ensure the storage root
  dlrm_storage_folders:
    root: /srv/dlrm-storage
    keys: /etc/dlrm-fleet/storage/lab
    user: dlrm-storage
  become: true
"""

RETURN = r"""
given:
  description: Folders and files that were made or given away.
  returned: success
  type: list
  elements: str
owner:
  description: The user who owns them.
  returned: success
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage.node.takeover import Folders

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "keys": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
    "key_file": {"type": "str", "default": "", "no_log": False},
    "host_root": {"type": "str", "default": ""},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    folders = Folders(
        Path(params["root"]),
        Path(params["keys"]),
        params["user"],
        params["key_file"],
        params["host_root"],
    )
    lacking = folders.lacking()
    if lacking and not check:
        folders.ensure()
    return {"changed": bool(lacking), "given": lacking, "owner": folders.owner}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_spool
short_description: Announce a run to the storage node, which may have to collect it
description:
  - Writes the run's entry into the storage node's spool, which its timer visits, and keeps the
    host's SSH keys as known.
  - With a key of the user's own there is no entry, and a warning says so. Only the gate of the
    fleet's two keys answers what a visit asks.
extends_documentation_fragment: [dlrm.storage_root, dlrm.host, dlrm.source]
options:
  run_id:
    description: The run. Without it only the host keys are added.
    type: str
  entry:
    description:
      - What a visit needs beside O(source); host_root, request, request_sha256, controller,
        opened_at, image, streams.
    type: dict
    default: {}
  host_keys:
    description: The host's public SSH keys, as M(dlrm_storage_access) returns them.
    type: list
    elements: str
    default: []
  folder:
    description: The folder that holds the keys of all fleets.
    type: path
    default: /etc/dlrm-fleet/storage
  fleet:
    description: Name of the fleet.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Same answer; nothing is written.}
  diff_mode: {support: none, description: Returns the entry's path only.}
  idempotent: {support: full, description: An entry that exists stays as it is.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Announce the run to the storage node
  dlrm_spool:
    storage_root: /srv/dlrm-storage
    run_id: 20260131T120000Z-0a1b2c
    host: "{{ inventory_hostname }}"
    fleet: lab
    entry: "{{ entry }}"
    source:
      address: 192.0.2.10
      user: ubuntu
      fleet_dir: /etc/dlrm-fleet/storage/lab
  delegate_to: storage-01
"""

RETURN = r"""
path:
  description: The entry's path; empty if no entry is needed, or if visits are off.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage import key_files as storage_files
from ansible.module_utils.dlrm_fleet.storage.node import spool
from ansible.module_utils.dlrm_fleet.storage.rsync import SSH_OPTIONS, reach

NO_VISITS = (
    "dlrm_storage_key_file is set, so the storage node's visits are off: a visit asks each host"
    " what a run left, and only the fleet's own two keys allow that question. If this command"
    " dies, give it again: it collects the run. To have visits, leave dlrm_storage_key_file empty."
)
ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "run_id": {"type": "str"},
    "host": {"type": "str", "required": True},
    "entry": {"type": "dict", "default": {}},
    "source": {"type": "dict", "options": SSH_OPTIONS},
    "host_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "folder": {"type": "path", "default": "/etc/dlrm-fleet/storage"},
    "fleet": {"type": "str", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    changed = False
    source = reach(params["source"], "read")
    if params["host_keys"] and source and not check:
        folder = storage_files.fleet_folder(Path(params["folder"]), params["fleet"])
        host = {**source, "keys": params["host_keys"]}
        changed = storage_files.know_host(folder, host)
    if source and params["source"]["key_file"]:
        return {"changed": changed, "path": "", "warnings": [NO_VISITS]}
    path = ""
    if params["run_id"] and not spool.is_recorded(
        Path(params["storage_root"]), params["run_id"], params["host"]
    ):
        document = {
            "schema_version": 1,
            **params["entry"],
            "source": source,
            "run_id": params["run_id"],
            "host": params["host"],
        }
        target = spool.entry_path(Path(params["storage_root"]), params["run_id"], params["host"])
        changed = spool.write_entry(target, document, check) or changed
        path = str(target)
    return {"changed": changed, "path": path}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, by_owner("storage_root", run))


if __name__ == "__main__":
    main()

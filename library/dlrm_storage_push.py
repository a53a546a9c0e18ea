#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_push
short_description: Send stored files into a host's incoming folder
description:
  - Runs on the storage node. Sends with rsync, with the key that can only write into that folder.
    A transfer that was cut goes on where it ended. M(dlrm_storage_restore) verifies what arrived.
  - A host that takes less than 1 MiB in 5 minutes is left, so that others get its place.
requirements:
  - rsync on both machines
extends_documentation_fragment: [dlrm.storage_root, dlrm.host, dlrm.target]
options:
  host_root:
    description: The host's root folder.
    type: path
    required: true
  files:
    description: What to send, as M(dlrm_storage_restore) returned it; sha256 to bytes.
    type: dict
    required: true
  refused:
    description: sha256 of files the host refused. The store's own copies are verified first.
    type: list
    elements: str
    default: []
  streams:
    description: How many large files are sent at once; small ones are sent together.
    type: int
    default: 4
  transfers:
    description: How many hosts the storage node serves at once; one more waits.
    type: int
    default: 4
attributes:
  check_mode: {support: full, description: Says whether something would be sent.}
  diff_mode: {support: none, description: Nothing is changed but what arrives.}
  idempotent: {support: none, description: Sends all of O(files) each time.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Send what is missing
  dlrm_storage_push:
    storage_root: /srv/dlrm-storage
    host: "{{ inventory_hostname }}"
    host_root: /srv/dlrm
    files: "{{ restored.missing }}"
    target:
      address: 192.0.2.10
      user: ubuntu
      fleet_dir: /etc/dlrm-fleet/storage/lab
  delegate_to: storage-01
"""

RETURN = r"""
sent_bytes:
  description: Size of the files that were sent.
  returned: always
  type: int
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import as_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage.node.push import Push
from ansible.module_utils.dlrm_fleet.storage.node.slots import place
from ansible.module_utils.dlrm_fleet.storage.node.transfer import run_push
from ansible.module_utils.dlrm_fleet.storage.rsync import SSH_OPTIONS, reach
from ansible.module_utils.dlrm_fleet.wire.restore import lacking_files

ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "host": {"type": "str", "required": True},
    "host_root": {"type": "path", "required": True},
    "files": {"type": "dict", "required": True},
    "refused": {"type": "list", "elements": "str", "default": []},
    "streams": {"type": "int", "default": 4},
    "transfers": {"type": "int", "default": 4},
    "target": {"type": "dict", "options": SSH_OPTIONS},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    files = lacking_files(params["files"], f"cannot send what {params['host']} asks for")
    root, host_root = Path(params["storage_root"]), Path(params["host_root"])
    refused = {sha256: files[sha256] for sha256 in params["refused"] if sha256 in files}

    def push() -> Push:
        target = reach(params["target"], "write")
        return Push(root, params["host"], params["host_root"], target, run_push)

    def verify() -> dict[str, Any]:
        push().verify(refused)
        return {}

    def send_here() -> dict[str, Any]:
        return {"sent": push().send(files, params["streams"])}

    def send() -> dict[str, Any]:
        with place(root, params["transfers"]):
            return send_here()

    as_owner(root, verify)
    if not check:
        # On this machine, only the host's own user may write to its incoming/.
        here = reach(params["target"], "write") is None
        as_owner(host_root, send_here) if here else as_owner(root, send)
    return {"changed": bool(files), "sent_bytes": sum(files.values())}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()

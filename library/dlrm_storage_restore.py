#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_restore
short_description: Put what the storage node sent into a host's stages
description:
  - Runs on the benchmark host, before and after M(dlrm_storage_push). Verifies each file in
    C(incoming/) against its promised sha256 before it moves the file into its stage. Writes
    C(stage.json) last, with the storage node it was restored from.
  - Returns which files are still missing. A stage that is done, and a file that is there with the
    right content, costs no transfer.
extends_documentation_fragment: [dlrm.root]
options:
  owner:
    description: uid:gid of everything below O(root), never 0.
    type: str
    required: true
  stages:
    description: As M(dlrm_storage_stages_info) returned them.
    type: list
    elements: dict
    required: true
  sources:
    description: As M(dlrm_storage_stages_info) returned them.
    type: dict
    default: {}
  node:
    description: The storage node's name.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Says what would be restored; compares sizes only.}
  diff_mode: {support: none, description: The lines show it.}
  idempotent: {support: full, description: What is there stays as it is.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Install what has arrived
  dlrm_storage_restore:
    root: /srv/dlrm
    owner: "1000:1000"
    stages: "{{ found.stages }}"
    node: storage-01
  become: true
"""

RETURN = r"""
missing:
  description: Files that are still missing; sha256 to bytes.
  returned: always
  type: dict
refused:
  description: sha256 of files that arrived with another content; they were removed.
  returned: always
  type: list
  elements: str
lines:
  description: One line for each stage.
  returned: always
  type: list
  elements: str
  sample:
    - "calibrate 1f2e3d4c5b6a: restored from storage-01, made by run 20260131T120000Z-0a1b2c on host
      arm-01"
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.stages import sources as source_files
from ansible.module_utils.dlrm_fleet.storage.host.restore import Restore
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.restore import known_sources, restorable_stages

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "stages": {"type": "list", "elements": "dict", "required": True},
    "sources": {"type": "dict", "default": {}},
    "node": {"type": "str", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    root = Path(params["root"])
    offer = Fields(params, f"cannot use what {params['node']} offers", "its offer")
    stages, sources = restorable_stages(offer, STAGES), known_sources(offer)
    absent = {name: files for name, files in sources.items() if not Path(name).is_dir()}
    with as_owner_of(root):
        done = Restore(root, Owner(params["owner"]), params["node"], check).run(stages)
        recalled = bool(absent) and source_files.recall(root, absent, check)
    return {
        "changed": done.changed or recalled,
        "missing": done.missing,
        "refused": done.refused,
        "lines": done.lines,
    }


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

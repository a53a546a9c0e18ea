#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_kept
short_description: Write down which image the storage node keeps
description:
  - Runs on the storage node, once it has the image's archive. An entry that is there is replaced.
  - Works as the user to whom the storage root belongs.
extends_documentation_fragment: [dlrm.storage_root, dlrm.image_entry]
options:
  id:
    description: The digest that the builder's container engine gave it.
    type: str
    required: true
  bytes:
    description: The archive's size.
    type: int
    required: true
  sha256:
    description: The archive's sha256.
    type: str
    required: true
  builder:
    description: The machine that built it.
    type: str
    required: true
  builder_kind:
    description: Why that machine built it.
    type: str
    choices: [named, controller, storage]
    required: true
attributes:
  check_mode: {support: full, description: Says that the entry would be written.}
  diff_mode: {support: none, description: The entry has a time in it.}
  idempotent: {support: none, description: Called only for an image that was just built.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Write the image's entry
  dlrm_image_kept:
    storage_root: /srv/dlrm-storage
    path: /srv/dlrm-storage/images/x86_64/dlrm-bench-1f2e3d4c5b6a.json
    name: dlrm-bench:1f2e3d4c5b6a
    id: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    architecture: x86_64
    bytes: 412345344
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    builder: cheap-01
    builder_kind: named
  delegate_to: storage-01
"""

RETURN = r"""
kept:
  description: The entry.
  returned: always
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.documents import write_json_atomic
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.container.kept_image import SCHEMA_VERSION, kept_image

FIELDS = ("name", "id", "architecture", "bytes", "sha256", "builder", "builder_kind")
ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "id": {"type": "str", "required": True},
    "architecture": {"type": "str", "required": True},
    "bytes": {"type": "int", "required": True},
    "sha256": {"type": "str", "required": True},
    "builder": {"type": "str", "required": True},
    "builder_kind": {
        "type": "str",
        "required": True,
        "choices": ["named", "controller", "storage"],
    },
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    path = Path(params["path"])
    entry = {"schema_version": SCHEMA_VERSION, "saved_at": format_time(utc_now())}
    entry.update({name: params[name] for name in FIELDS})
    document = kept_image(entry, f"cannot write {str(path)!r}").as_dict()
    if not check:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_json_atomic(path, document)
    return {"changed": True, "kept": document}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, by_owner("storage_root", run))


if __name__ == "__main__":
    main()

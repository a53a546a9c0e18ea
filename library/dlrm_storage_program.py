#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_program
short_description: Pack the program that hosts and storage node keep
description:
  - Runs on the controller. Packs C(module_utils/dlrm_fleet) into one file that Python runs; equal
    code gives equal bytes.
options:
  package:
    description: The folder C(module_utils/dlrm_fleet).
    type: path
    required: true
  dest:
    description: The file to write.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Says whether the file would be written.}
  diff_mode: {support: none, description: Its content is code}
  idempotent: {support: full, description: Equal code is not written again.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Pack the storage program
  dlrm_storage_program:
    package: "{{ playbook_dir }}/../module_utils/dlrm_fleet"
    dest: "{{ playbook_dir }}/../.cache/storage.pyz"
  delegate_to: localhost
"""

RETURN = r"""
sha256:
  description: Of the file.
  returned: always
  type: str
"""

import hashlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.documents import write_atomic
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.storage.pack import build

ARGUMENTS: dict[str, Any] = {
    "package": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    dest, wanted = Path(params["dest"]), build(Path(params["package"]))
    changed = not dest.exists() or dest.read_bytes() != wanted
    if changed and not check:
        dest.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(dest, wanted)
    return {"changed": changed, "sha256": hashlib.sha256(wanted).hexdigest()}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

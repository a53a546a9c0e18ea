#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_support_bundle
short_description: Write gathered texts as one tar.gz
description:
  - Runs on the controller. Redacts every text once more. Only its owner may read the file.
  - What a machine may not put into a bundle, such as a name that leaves its folder, is left out;
    C(left_out.txt) in the bundle names it.
options:
  path:
    description: The file to write, C(.tar.gz). Its folder must exist.
    type: path
    required: true
  name:
    description: The folder inside the bundle.
    type: str
    required: true
  files:
    description: Names and texts, as M(dlrm_support_info) returns them.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: Nothing is written.}
  diff_mode: {support: none, description: The content is shown by tar.}
  idempotent: {support: full, description: Equal texts give equal bytes.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Write the bundle
  dlrm_support_bundle:
    path: /tmp/arm-01.tar.gz
    name: arm-01
    files: "{{ gathered.files }}"
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.documents import sha256_file
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.support.bundle import write_bundle

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "files": {"type": "dict", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    path = Path(params["path"])
    before = sha256_file(path) if path.exists() else ""
    if not check:
        write_bundle(path, params["name"], params["files"])
    return {"changed": check or sha256_file(path) != before, "path": str(path)}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

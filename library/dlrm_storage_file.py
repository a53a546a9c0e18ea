#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_file
short_description: Write a file below the storage node's folder, as the folder's owner
description:
  - M(ansible.builtin.copy) does not serve. It writes as root below a folder that is another user's,
    who could plant a link there.
extends_documentation_fragment: [dlrm.storage_root]
options:
  path:
    description: The file, relative to O(storage_root). Its folder is made if it is missing.
    type: str
    required: true
  content:
    description: The whole content.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Says whether the file would be written.}
  diff_mode: {support: full, description: The file before and after.}
  idempotent: {support: full, description: Equal content is not written again.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Keep the verdict on the storage node
  dlrm_storage_file:
    storage_root: /srv/dlrm-storage
    path: runs/20260131T120000Z-0a1b2c/verdict.json
    content: "{{ verdict | to_nice_json }}"
  become: true
  delegate_to: storage-01
"""

RETURN = r"""
path:
  description: The file's absolute path.
  returned: success
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.documents import write_atomic
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.strict_json import DEFAULT, Malformed, read_bytes

ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    relative = Fields(params, "cannot write the file").relative("path")
    path, content = Path(params["storage_root"]) / relative, params["content"].encode()
    before = _content(path)
    if before != content and not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    diff = {"before": (before or b"").decode(errors="replace"), "after": params["content"]}
    return {"changed": before != content, "path": str(path), "diff": diff}


def _content(path: Path) -> bytes | None:
    """None if there is no regular file, or one that is far too large."""
    try:
        return read_bytes(path, DEFAULT.size)
    except (FileNotFoundError, Malformed):
        return None


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, by_owner("storage_root", run))


if __name__ == "__main__":
    main()

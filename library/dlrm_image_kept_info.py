#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_kept_info
short_description: Read which image the storage node keeps
description:
  - Runs on the storage node and reads the entry that M(dlrm_image_kept) wrote.
  - An entry of an earlier release, of a measured host, of another image or a damaged one counts as
    none. An entry of a newer release is refused.
extends_documentation_fragment: [dlrm.image_entry, dlrm.reads]
options:
  measured:
    description: The hosts that are measured.
    type: list
    elements: str
    default: []
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Look for the image
  dlrm_image_kept_info:
    path: /srv/dlrm-storage/images/x86_64/dlrm-bench-1f2e3d4c5b6a.json
    name: dlrm-bench:1f2e3d4c5b6a
    architecture: x86_64
    measured: [bench-01, bench-02]
  delegate_to: storage-01
"""

RETURN = r"""
kept:
  description: The entry; empty when the storage node keeps no image that can be used.
  returned: always
  type: dict
why:
  description: Why an entry that is there is not used.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.container.kept_image import usable

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "architecture": {"type": "str", "required": True},
    "measured": {"type": "list", "elements": "str", "default": []},
}


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    path, measured = Path(params["path"]), params["measured"]
    kept, why = usable(path, params["name"], params["architecture"], measured)
    return {"kept": kept.as_dict() if kept else {}, "why": why}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

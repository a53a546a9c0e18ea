#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_host_root
short_description: Ensure a host's root folder, the links to it and host.json
description:
  - Makes O(root) with its folders, owned by the containers' user.
  - Makes C(data), C(model) and C(results) the same folders in the root and in the login user's
    home. A folder that the user has already stays where it is; the root's name links to it.
  - Writes C(host.json) when the machine's description differs from what is there.
options:
  root:
    description: The one folder this project owns on a host.
    type: path
    required: true
  owner:
    description: The containers' user, C(uid:gid).
    type: str
    required: true
  home:
    description: Folder that holds C(data), C(model) and C(results) for the user.
    type: path
    required: true
  home_user:
    description: The home's user, C(uid:gid). The home is read and changed as that user.
    type: str
    required: true
  host:
    description: The document of C(host.json), as M(dlrm_host_info) returned it.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: Lists what it would change.}
  diff_mode: {support: full, description: A line for each path.}
  idempotent: {support: full, description: Changes nothing the second time.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Ensure the root folder, its links and host.json
  dlrm_host_root:
    root: /srv/dlrm
    owner: "1000:1000"
    home: /home/ubuntu
    home_user: "1000:1000"
    host: "{{ host_info.host }}"
  become: true
"""

RETURN = r"""
changes:
  description: What was done to each path, by path.
  returned: success
  type: dict
  sample: {/srv/dlrm/stages: folder made, /home/ubuntu/model: link to /srv/dlrm/model}
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.documents import write_json_atomic
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import ids
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of, owner_of
from ansible.module_utils.dlrm_fleet.host.folders import Folders
from ansible.module_utils.dlrm_fleet.wire.documents import read_strictly

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "home_user": {"type": "str", "required": True},
    "host": {"type": "dict", "required": True},
}


def record(folders: Folders, host: dict[str, Any]) -> None:
    path = folders.root / "host.json"
    with as_owner_of(folders.root):
        try:
            if read_strictly(path) == host:
                return
        except FleetError:
            pass
        folders.changes[str(path)] = "machine described"
        if folders.act:
            write_json_atomic(path, host, owner=folders.owner)


def warning(root: Path) -> str:
    """Said if root cannot work below the root folder with its owner's rights."""
    if os.geteuid() != 0 or not root.is_dir() or root.stat().st_uid == owner_of(root)[0]:
        return ""
    return (
        f"The owner of {str(root)!r} may not enter the folders above it, so root works there with"
        " its own rights, and what containers write there could mislead it. Choose a"
        " dlrm_host_root that its owner can enter, such as /srv/dlrm."
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        ids(params["home_user"])
        folders = Folders(Path(params["root"]), params["owner"], act=not module.check_mode)
        folders.ensure()
        folders.link_home(Path(params["home"]), params["home_user"])
        record(folders, params["host"])
    except FleetError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        todo = "Check the disk and the owner of that path."
        module.fail_json(msg=f"Cannot prepare {params['root']!r}: {error}. {todo}")
    if warning(folders.root):
        module.warn(warning(folders.root))
    lines = "".join(f"{path}: {what}\n" for path, what in folders.changes.items())
    module.exit_json(
        changed=bool(folders.changes),
        changes=folders.changes,
        diff={"before": "", "after": lines, "after_header": params["root"]},
    )


if __name__ == "__main__":
    main()

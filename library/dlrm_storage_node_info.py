#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_node_info
short_description: Say what a storage node lacks to take results
description:
  - Looks in one call at all that the role C(dlrm_storage) sets up there. Installs nothing.
extends_documentation_fragment: [dlrm.storage_node, dlrm.reads]
options:
  user:
    description: Who shall own O(root) and O(keys), unless O(root) is another ordinary user's.
    type: str
    default: root
  keys:
    description: The folder of the fleet's keys.
    type: path
    default: /etc/dlrm-fleet/storage/default
  programs:
    description: Programs that must be on the PATH.
    type: list
    elements: str
    default: [rsync]
  files:
    description: Files that must have exactly this content, as path to sha256.
    type: dict
    default: {}
  systemd_files:
    description:
      - The same, as path to content, checked only where systemd runs the machine. C(@owner@) in it
        stands for RV(owner).
    type: dict
    default: {}
  cron_files:
    description: As O(systemd_files), checked only where there is cron but no systemd.
    type: dict
    default: {}
  timer:
    description: The systemd timer that must be enabled and active; empty when none is wanted.
    type: str
    default: ""
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: See what the storage node lacks
  dlrm_storage_node_info:
    root: /srv/dlrm-storage
    files: {/opt/dlrm-fleet/storage.pyz: "{{ packed.sha256 }}"}
  become: true
  register: node
"""

RETURN = r"""
missing:
  description: Names of what is missing or differs; empty if the node has everything.
  returned: success
  type: list
  elements: str
clock:
  description: What can start the visits; V(systemd), V(cron), or empty for neither.
  returned: success
  type: str
owner:
  description: The user who owns the root, or is going to; visits run as this user.
  returned: success
  type: str
"""

import hashlib
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.documents import sha256_file
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node.takeover import Folders

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "user": {"type": "str", "default": "root"},
    "keys": {"type": "path", "default": "/etc/dlrm-fleet/storage/default"},
    "key_file": {"type": "str", "default": "", "no_log": False},
    "host_root": {"type": "str", "default": ""},
    "programs": {"type": "list", "elements": "str", "default": ["rsync"]},
    "files": {"type": "dict", "default": {}},
    "systemd_files": {"type": "dict", "default": {}},
    "cron_files": {"type": "dict", "default": {}},
    "timer": {"type": "str", "default": ""},
}
# sd_booted(3): this folder exists exactly when systemd is the init of this machine.
SYSTEMD = Path("/run/systemd/system")
CRON = Path("/etc/cron.d")


def clock() -> str:
    if SYSTEMD.is_dir():
        return "systemd"
    return "cron" if CRON.is_dir() else ""


def differs(path: Path, sha256: str) -> bool:
    """True if the file is missing or has another content or another mode than 0644."""
    try:
        found = path.stat()
        return stat.S_IMODE(found.st_mode) != 0o644 or sha256_file(path) != sha256
    except (OSError, FleetError):
        return True


def timer_runs(module: AnsibleModule, name: str) -> bool:
    asked = ["systemctl", "show", "--property=UnitFileState,ActiveState", "--value", name]
    rc, out, _err = module.run_command(asked)
    return rc == 0 and sorted(out.split()) == ["active", "enabled"]


def look(module: AnsibleModule, runs_by: str, folders: Folders) -> list[str]:
    params = module.params
    missing = [name for name in params["programs"] if not module.get_bin_path(name)]
    missing += folders.lacking()
    files = dict(params["files"])
    for path, text in (params[f"{runs_by}_files"] if runs_by else {}).items():
        content = text.replace("@owner@", folders.owner)
        files[path] = hashlib.sha256(content.encode()).hexdigest()
    missing += [path for path, sha256 in files.items() if differs(Path(path), sha256)]
    if runs_by == "systemd" and params["timer"] and not timer_runs(module, params["timer"]):
        missing.append(params["timer"])
    return missing


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    runs_by = clock()
    folders = Folders(
        Path(params["root"]),
        Path(params["keys"]),
        params["user"],
        params["key_file"],
        params["host_root"],
    )
    missing = look(module, runs_by, folders)
    module.exit_json(changed=False, missing=missing, clock=runs_by, owner=folders.owner)


if __name__ == "__main__":
    main()

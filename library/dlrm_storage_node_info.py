#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_node_info
short_description: Say what a storage node lacks to take results
description:
  - Looks, in one call, at everything that the role C(dlrm_storage) sets up there; installs nothing.
extends_documentation_fragment: [dlrm.reads]
options:
  root:
    description: Where the storage node keeps artifacts and runs.
    type: path
    required: true
  programs:
    description: Programs that must be on the PATH.
    type: list
    elements: str
    default: [rsync]
  files:
    description: Files that must have exactly this content; path to sha256.
    type: dict
    default: {}
  systemd_files:
    description: The same, looked at only where systemd runs the machine.
    type: dict
    default: {}
  cron_files:
    description: The same, looked at only where cron is there and systemd is not.
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
  description: What is missing or differs, in words; empty when nothing is to be done.
  returned: success
  type: list
  elements: str
clock:
  description: What can start the visits; V(systemd), V(cron), or empty.
  returned: success
  type: str
"""

import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.documents import sha256_file
from ansible.module_utils.dlrm_fleet.base.errors import FleetError

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "programs": {"type": "list", "elements": "str", "default": ["rsync"]},
    "files": {"type": "dict", "default": {}},
    "systemd_files": {"type": "dict", "default": {}},
    "cron_files": {"type": "dict", "default": {}},
    "timer": {"type": "str", "default": ""},
}
# systemd(1): there exactly when it is the init of this machine.
SYSTEMD = Path("/run/systemd/system")
CRON = Path("/etc/cron.d")


def clock() -> str:
    if SYSTEMD.is_dir():
        return "systemd"
    return "cron" if CRON.is_dir() else ""


def lacks_root(root: Path) -> bool:
    try:
        found = root.stat()
    except OSError:
        return True
    return not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o755


def differs(path: Path, sha256: str) -> bool:
    """Absent, another content, or writable or unreadable for others than it should be."""
    try:
        found = path.stat()
        return stat.S_IMODE(found.st_mode) != 0o644 or sha256_file(path) != sha256
    except (OSError, FleetError):
        return True


def timer_runs(module: AnsibleModule, name: str) -> bool:
    asked = ["systemctl", "show", "--property=UnitFileState,ActiveState", "--value", name]
    rc, out, _err = module.run_command(asked)
    return rc == 0 and sorted(out.split()) == ["active", "enabled"]


def look(module: AnsibleModule, runs_by: str) -> list[str]:
    params = module.params
    missing = [name for name in params["programs"] if not module.get_bin_path(name)]
    if lacks_root(Path(params["root"])):
        missing.append(params["root"])
    files = {**params["files"], **(params[f"{runs_by}_files"] if runs_by else {})}
    missing += [path for path, sha256 in files.items() if differs(Path(path), sha256)]
    if runs_by == "systemd" and params["timer"] and not timer_runs(module, params["timer"]):
        missing.append(params["timer"])
    return missing


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    runs_by = clock()
    module.exit_json(changed=False, missing=look(module, runs_by), clock=runs_by)


if __name__ == "__main__":
    main()

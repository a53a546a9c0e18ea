#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_support_info
short_description: Gather what explains a failure, redacted
description:
  - Reads manifests, locks, verdicts, the ends of logs and the versions of the programs.
  - Removes secrets on this machine, before anything leaves it. Reads neither data nor weights.
  - Reads the ends of regular files and follows no link below the folders. A file that cannot be
    read is named with the reason.
extends_documentation_fragment: [dlrm.reads]
options:
  root:
    description: The benchmark host's folder.
    type: path
  storage_root:
    description: The storage node's folder.
    type: path
  verdict_dir:
    description: The controller's folder of verdicts.
    type: path
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Gather what explains a failure
  dlrm_support_info:
    root: /srv/dlrm
  become: true
  register: gathered
"""

RETURN = r"""
files:
  description: Names in the bundle and redacted texts.
  returned: always
  type: dict
"""

import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.support import bundle
from ansible.module_utils.dlrm_fleet.support.gather import end_of, gather, read_end
from ansible.module_utils.dlrm_fleet.support.redact import redact

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path"},
    "storage_root": {"type": "path"},
    "verdict_dir": {"type": "path"},
}
COMMANDS = {
    "uname.txt": ["uname", "-a"],
    "docker_version.txt": ["docker", "version"],
    "docker_info.txt": ["docker", "info"],
    "docker_containers.txt": ["docker", "ps", "--all", "--filter", "label=dlrm-fleet"],
    "docker_images.txt": ["docker", "image", "ls"],
    "disk.txt": ["df", "-h"],
    "memory.txt": ["free", "-m"],
    "ansible_version.txt": ["ansible", "--version"],
}


def said(module: AnsibleModule, words: list[str]) -> str:
    # First of the virtual environment that runs this: there lies its Ansible.
    beside = Path(sys.executable).parent / words[0]
    program = str(beside) if beside.exists() else module.get_bin_path(words[0])
    if not program:
        return f"[{words[0]} is not installed]\n"
    code, out, err = module.run_command([program, *words[1:]])
    return str(end_of(redact(f"{out}{err}[exit code {code}]\n")))


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    files = {f"machine/{name}": said(module, words) for name, words in COMMANDS.items()}
    files["machine/python.txt"] = f"{sys.version}\n"
    files["machine/os-release.txt"] = read_end(Path("/etc/os-release").resolve())
    for option, patterns in (
        ("root", bundle.HOST_PATTERNS),
        ("storage_root", bundle.STORAGE_PATTERNS),
        ("verdict_dir", bundle.VERDICT_PATTERNS),
    ):
        if module.params[option]:
            folder = Path(module.params[option])
            with as_owner_of(folder):
                files.update(gather(folder, patterns, option))
    module.exit_json(changed=False, files=files)


if __name__ == "__main__":
    main()

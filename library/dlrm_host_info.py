#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_host_info
short_description: Describe a benchmark host and say what it lacks
description:
  - Reads only C(/proc), C(/sys), C(/etc), folders of programs and the container engine's socket.
    Uses no network and installs nothing.
  - Returns the document of C(host.json), a sentence for each need the host does not meet, and what
    software is there.
extends_documentation_fragment: [dlrm.reads]
options:
  root:
    description: The folder whose filesystem is measured; it need not exist yet.
    type: path
    required: true
  name:
    description: The host's name in the inventory.
    type: str
    required: true
  needs:
    description: What the benchmark needs of the host. What is left out is not checked.
    type: dict
    suboptions:
      memory_gib:
        description: Memory installed, in GiB.
        type: float
      disk_gib:
        description: Disk free below O(root) or held by its stages already, in GiB.
        type: float
      shm_gib:
        description: Size of C(/dev/shm), in GiB.
        type: float
      instruction_sets:
        description:
          - Of V(amx), V(avx512_vnni), V(avx512_bf16), V(bf16), V(i8mm), V(sve2); all are needed.
          - V(avx512_vnni|i8mm) means either.
        type: list
        elements: str
        default: []
  software:
    description: What software to look for.
    type: dict
    suboptions:
      programs:
        description: Names of programs.
        type: list
        elements: str
        default: []
      environment:
        description: Folder of the Python environment that drives the container engine.
        type: path
      requirements:
        description: Text of the lock file that O(software.environment) is compared with.
        type: str
        default: ""
      user:
        description: Name of the containers' user.
        type: str
  engine_socket:
    description: Where the container engine listens.
    type: path
    default: /var/run/docker.sock
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Describe the host
  dlrm_host_info:
    root: /srv/dlrm
    name: "{{ inventory_hostname }}"
    needs:
      memory_gib: 250
      instruction_sets: [avx512_vnni|i8mm]
  register: host_info
"""

RETURN = r"""
host:
  description: The document of C(host.json).
  returned: always
  type: dict
  sample:
    name: arm-01
    architecture: aarch64
    cpu: {model: Arm Neoverse V2, sockets: 1, cores: 64, threads: 64}
    memory: {total_gib: 498.1, swap_gib: 0.0}
problems:
  description: A sentence for each need that is not met, with needed, found and what to do.
  returned: always
  type: list
  elements: str
engine:
  description: answers (bool), version and live_restore of the container engine at
    O(engine_socket).
  returned: always
  type: dict
software:
  description:
    - programs (those found), systemd (bool, whether it runs), missing_packages (names, of the lock
      file), user (C(uid:gid), none when there is no such user).
  returned: always
  type: dict
"""

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.host import software as host_programs
from ansible.module_utils.dlrm_fleet.host.machine import HostReader, find_problems, read_host

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "needs": {
        "type": "dict",
        "options": {
            "memory_gib": {"type": "float"},
            "disk_gib": {"type": "float"},
            "shm_gib": {"type": "float"},
            "instruction_sets": {"type": "list", "elements": "str", "default": []},
        },
    },
    "software": {
        "type": "dict",
        "options": {
            "programs": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "path"},
            "requirements": {"type": "str", "default": ""},
            "user": {"type": "str"},
        },
    },
    "engine_socket": {"type": "path", "default": "/var/run/docker.sock"},
}


def find_software(wanted: dict[str, Any]) -> dict[str, Any]:
    environment, user = wanted.get("environment"), wanted.get("user")
    locked = wanted.get("requirements") or ""
    return {
        "programs": host_programs.programs(Path("/"), wanted.get("programs") or []),
        "systemd": Path("/run/systemd/system").is_dir(),
        "missing_packages": host_programs.missing_packages(Path(environment), locked)
        if environment
        else [],
        "user": host_programs.user_ids(user) if user else None,
    }


def stages_gib(folder: Path) -> float:
    """What the files below `folder` take on disk; a running stage may rename some meanwhile."""
    blocks = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            blocks += path.lstat().st_blocks
    return blocks * 512 / 2**30


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    reader = HostReader(Path("/"), os.uname().machine)
    host = read_host(reader, params["name"], socket.gethostname(), params["root"])
    engine = host_programs.engine(params["engine_socket"])
    host["engine_version"] = engine["version"]
    # What the stages hold already, or an interrupted restore left, need not be free again.
    free = host["disk"]["free_gib"]
    if free is not None:
        held = sum(stages_gib(Path(params["root"]) / name) for name in ("stages", "incoming"))
        host["disk"]["free_gib"] = round(free + held, 2)
    problems = find_problems(host, params["needs"] or {})
    # These change all the time: the document says what the machine is, and is equal in each run.
    del host["memory"]["available_gib"], host["disk"]["free_gib"]
    software = find_software(params["software"] or {})
    module.exit_json(changed=False, host=host, problems=problems, engine=engine, software=software)


if __name__ == "__main__":
    main()

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
extends_documentation_fragment: [dlrm.reads, dlrm.looks]
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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.host.look import ARGUMENTS, look


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False, **look(module.params))


if __name__ == "__main__":
    main()

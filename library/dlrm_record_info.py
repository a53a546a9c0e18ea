#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_record_info
short_description: Read the recorded runs of the storage node
description:
  - Reads every C(runs/<run_id>/<host>/run.json) of the storage node.
options:
  storage_root:
    description: The storage node's folder.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Read the records
  dlrm_record_info:
    storage_root: /srv/dlrm-storage
  delegate_to: storage-01
  register: records
"""

RETURN = r"""
newest:
  description: The newest C(run.json) of each host, by host name.
  returned: always
  type: list
  elements: dict
all_runs:
  description: A summary of each run, newest first.
  returned: always
  type: list
  elements: dict
unreadable:
  description: A sentence for each record that cannot be read.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet import record

ARGUMENTS: dict[str, Any] = {"storage_root": {"type": "path", "required": True}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        newest, all_runs, unreadable = record.newest(Path(module.params["storage_root"]))
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, newest=newest, all_runs=all_runs, unreadable=unreadable)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_record_info
short_description: Read the recorded runs of the storage node
description:
  - Reads every C(runs/<run_id>/<host>/run.json) of the storage node; or one, with O(run_id) and
    O(host).
  - A record counts if it is the record of its folder's run and host, and if the folder is as it
    was recorded. One that does not count is named, and the others are returned.
  - Keeps beside a run's folder which C(SHA256SUMS) it verified in full. As long as that file and
    C(run.json) stay as they are, the other files are not hashed again, unless with O(verify).
    Check mode does not keep it.
extends_documentation_fragment: [dlrm.storage_root, dlrm.reads]
options:
  run_id:
    description: Read only this run. A run without a record is an error.
    type: str
  host:
    description: Read only this host's record of the run.
    type: str
  verify:
    description: Compare every file of every record with its C(SHA256SUMS).
    type: bool
    default: false
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
run:
  description: The record of O(run_id) and O(host).
  returned: when these are given
  type: dict
path:
  description: The path of that record's C(run.json).
  returned: when these are given
  type: str
summary:
  description: LoadGen's own summary of that run; empty if nothing was measured.
  returned: when these are given
  type: str
newest:
  description:
    - The newest C(run.json) of each host, by host name. Characters that a terminal would act on
      are escaped.
  returned: when no run is named
  type: list
  elements: dict
all_runs:
  description: A summary of each run, newest first.
  returned: when no run is named
  type: list
  elements: dict
uncollected:
  description: A sentence for each run and host that the last visit could not collect.
  returned: when no run is named
  type: list
  elements: str
unreadable:
  description: A sentence for each record that cannot be read or does not count.
  returned: when no run is named
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.results import stored
from ansible.module_utils.dlrm_fleet.storage.node import spool

ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "run_id": {"type": "str"},
    "host": {"type": "str"},
    "verify": {"type": "bool", "default": False},
}


def look(params: dict[str, Any], check: bool) -> dict[str, Any]:
    root, again, keep = Path(params["storage_root"]), params["verify"], not check
    if params["run_id"]:
        return dict(stored.one(root, params["run_id"], params["host"], again, keep))
    newest, all_runs, unreadable = stored.newest(root, again, keep)
    return {
        "newest": newest,
        "all_runs": all_runs,
        "unreadable": unreadable,
        "uncollected": spool.refusals(root),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_together=[("run_id", "host")], supports_check_mode=True
    )
    finish(module, by_owner("storage_root", look))


if __name__ == "__main__":
    main()

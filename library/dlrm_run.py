#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_run
short_description: Open or close a run on a host
description:
  - V(open) makes the run's lock with a lease of 90 s, which every poll of a stage renews. It takes
    over a lock whose lease ended or whose process is gone. It fails while another controller holds
    a run on this host, and names that controller.
  - V(closed) marks the run's record as stored. Only the run's holder may do so.
  - Times are by the host's clock, never by the controller's. A lock that a power cut left empty is
    renamed to C(run.lock.damaged-<time>) and restored from C(opened.json).
extends_documentation_fragment: [dlrm.root, dlrm.request_sha256, dlrm.controller]
options:
  run_id:
    description: As M(dlrm_run_plan) returned it.
    type: str
    required: true
  deadline_seconds:
    description: How many seconds the run may last from now, also when it is taken over.
    type: int
    required: true
  owner:
    description: uid:gid of everything below O(root), never 0.
    type: str
    required: true
  gone:
    description: Controllers that are known to have ended, as M(dlrm_run_info) returned them. Their
      runs are orphaned.
    type: list
    elements: dict
    default: []
  keep_days:
    description:
      - With O(state=open), runs that were closed more days ago are removed from the host, with what
        they measured. Their records stay on the storage node. V(0) removes none.
    type: int
    default: 0
  state:
    description: The state that the run shall have.
    type: str
    choices: [open, closed]
    default: open
attributes:
  check_mode: {support: full, description: Gives the same answer and writes nothing.}
  diff_mode: {support: full, description: Shows the holder before and after.}
  idempotent: {support: full, description: The same process opens a run once.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Hold the run's lock
  dlrm_run:
    root: /srv/dlrm
    run_id: "{{ planned.run_id }}"
    request_sha256: "{{ read.request_sha256 }}"
    controller: "{{ read.controller }}"
    deadline_seconds: 3600
    owner: "1000:1000"
    state: open
  become: true
"""

RETURN = r"""
opened_at:
  description: When the run was first opened on this host, UTC.
  returned: success
  type: str
  sample: "2026-01-31T12:00:00Z"
deadline:
  description: When its stages must have ended, UTC.
  returned: success
  type: str
  sample: "2026-01-31T13:00:00Z"
seconds_left:
  description: Seconds until RV(deadline) by the host's clock; negative when it has passed.
  returned: success
  type: int
retired:
  description: The runs that were removed from the host.
  returned: success
  type: list
  elements: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.base.times import parse_time, utc_now
from ansible.module_utils.dlrm_fleet.runs.holder import holder
from ansible.module_utils.dlrm_fleet.runs.lock import LockDamaged
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.retire import retire

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "request_sha256": {"type": "str", "required": True},
    "controller": {"type": "dict", "required": True},
    "deadline_seconds": {"type": "int", "required": True},
    "owner": {"type": "str", "required": True},
    "gone": {"type": "list", "elements": "dict", "default": []},
    "keep_days": {"type": "int", "default": 0},
    "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
}


def describe(runs: Runs, run_id: str) -> str:
    if not runs.is_open(run_id):
        return "absent\n"
    if runs.is_closed(run_id):
        return "closed\n"
    try:
        return f"held by {holder(runs.read(run_id))}\n"
    except LockDamaged as damage:
        return f"damaged: {damage.what}: {damage.why}\n"


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    with as_owner_of(Path(params["root"])):
        return hold(params, check)


def hold(params: dict[str, Any], check: bool) -> dict[str, Any]:
    runs = Runs(Path(params["root"]), params["gone"])
    run_id, owner = params["run_id"], Owner(params["owner"])
    before = describe(runs, run_id)
    retired: list[str] = []
    warnings: list[str] = []
    if params["state"] == "closed":
        changed = runs.close(run_id, params["controller"], owner, check)
        lock, after = runs.read(run_id), "closed\n"
    else:
        changed, lock = runs.open(
            run_id,
            params["request_sha256"],
            params["controller"],
            params["deadline_seconds"],
            owner,
            check,
        )
        after = f"held by {holder(lock)}\n" if changed else before
        if changed and not check:
            try:
                retired = retire(runs.root, params["keep_days"], time.time())
            except OSError as error:
                warnings.append(
                    f"Old runs stay on this host, and the next run tries again: {error}"
                )
    return {
        "changed": changed,
        "opened_at": lock["opened_at"],
        "deadline": lock["deadline"],
        "retired": retired,
        "warnings": warnings,
        "seconds_left": int((parse_time(lock["deadline"]) - utc_now()).total_seconds()),
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

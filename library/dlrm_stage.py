#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_stage
short_description: Have one stage of a benchmark done
description:
  - Finds the stage's result by its key, the sha256 of all that decides its bytes. A whole result
    is not made again, a damaged one is removed and remade, a running stage is attached to.
    Otherwise one detached, unprivileged container is started. It enforces the deadline itself.
  - The module returns at once. With O(wait_seconds) it returns when the stage ends, at the latest
    after that time. The action plugin of the same name then watches the stage with
    M(dlrm_stage_info), prints its progress, and fails with the stage's own message.
  - Links the published file names to a finished stage. A user's own file with such a name stays.
extends_documentation_fragment: [dlrm.root, dlrm.catalogue, dlrm.request, dlrm.controller]
options:
  stage:
    description: Name of the stage in O(catalogue).
    type: str
    required: true
  run_id:
    description: The open run. It may be left out in check mode.
    type: str
  image:
    description: Name of the benchmark image, by content. It may be left out in check mode.
    type: str
  user:
    description: The container's uid:gid, which owns O(root); never 0.
    type: str
    required: true
  deadline:
    description: When the stage must have ended, UTC, RFC 3339, as M(dlrm_run) returned it.
    type: str
    required: true
  commit:
    description: The repository's commit, for the documents.
    type: str
    default: ""
  host:
    description: This host's name in the documents. By default its own; the action plugin gives
      the inventory's.
    type: str
  force:
    description: Make the stage again although it is done, but only once in a run.
    type: bool
    default: false
  secret:
    description:
      - The text of the file of secrets of this stage's source, or empty. It reaches the container
        as a file of mode 0600 in memory (C(/run/dlrm)), which is removed when the container ends.
    type: str
    default: ""
  wait_seconds:
    description:
      - Watch a running stage for up to this many seconds. A stage that ends in that time needs no
        second call. The action plugin asks for 5.
    type: float
    default: 0
attributes:
  check_mode: {support: full, description: Works even where neither engine nor root folder exists.}
  diff_mode: {support: full, description: Shows which run made the result, before and after; links.}
  idempotent: {support: full, description: A result is made once.}
requirements:
  - docker (Python SDK), except in check mode
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Have the INT8 model made
  dlrm_stage:
    root: /srv/dlrm
    stage: calibrate
    catalogue: "{{ lookup('ansible.builtin.file', 'benchmark/stages.json') | from_json }}"
    request: "{{ read.request }}"
    run_id: "{{ planned.run_id }}"
    image: dlrm-bench:1f2e3d4c5b6a
    user: "1000:1000"
    deadline: "{{ opened.deadline }}"
    controller: "{{ read.controller }}"
  become: true
"""

RETURN = r"""
state:
  description:
    - done; running; would_run (check mode); skipped (not part of this request, or not needed on
      this host); preparing (files of the user's folder are not hashed yet, or another stage of
      this run still runs; call again); failed.
  returned: success
  type: str
key:
  description: The stage's key, null while it waits for an earlier stage.
  returned: success
  type: str
attempt:
  description: Which attempt runs or made the result.
  returned: success
  type: int
reason:
  description: Why it is in this state.
  returned: success
  type: str
lines:
  description: What to tell the user, in order.
  returned: success
  type: list
  elements: str
token:
  description: What was printed about a running stage, for M(dlrm_stage_info).
  returned: success
  type: str
document:
  description: stage.json, when done.
  returned: success
  type: dict
message:
  description: What the stage said when it failed, and where its log lies.
  returned: success
  type: str
seconds_left:
  description: Seconds until the deadline, by the host's clock.
  returned: success
  type: int
cause:
  description:
    - Why the stage failed; out of memory, deadline, signal N, no space, exception, host rebooted,
      engine gone, no manifest, not started.
  returned: failure of the stage
  type: str
exit_code:
  description: The container's exit code.
  returned: failure of the stage
  type: int
log_tail:
  description: The last 20 lines the container wrote.
  returned: failure of the stage
  type: list
  elements: str
"""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.container.engine import Engine
from ansible.module_utils.dlrm_fleet.stages.asked import Asked, Start
from ansible.module_utils.dlrm_fleet.stages.attend import attend_stage
from ansible.module_utils.dlrm_fleet.stages.view import StageView

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "stage": {"type": "str", "required": True},
    "catalogue": {"type": "dict", "required": True},
    "request": {"type": "dict", "required": True},
    "run_id": {"type": "str"},
    "image": {"type": "str"},
    "user": {"type": "str", "required": True},
    "deadline": {"type": "str", "required": True},
    "controller": {"type": "dict", "required": True},
    "commit": {"type": "str", "default": ""},
    "host": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "secret": {"type": "str", "default": "", "no_log": True},
    "wait_seconds": {"type": "float", "default": 0},
}


def run(params: dict[str, Any], check: bool) -> StageView:
    root = Path(params["root"])
    asked = Asked(
        root,
        params["catalogue"],
        params["request"],
        params["run_id"] or None,
        params["image"] or None,
        params["controller"],
    )
    start = Start(
        stage=params["stage"],
        user=params["user"],
        deadline=params["deadline"],
        host=params["host"] or platform.node(),
        commit=params["commit"],
        force=params["force"],
        check=check,
        secret=params["secret"],
    )
    with as_owner_of(root):
        return attend_stage(asked, start, Engine(root), params["wait_seconds"])


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        view = run(module.params, module.check_mode)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))
    returned = asdict(view)
    for warning in returned.pop("warnings"):
        module.warn(warning)
    if view.diff is None:
        returned.pop("diff")
    if view.state == "failed":
        module.fail_json(msg=view.message or view.reason, **returned)
    module.exit_json(**returned)


if __name__ == "__main__":
    main()

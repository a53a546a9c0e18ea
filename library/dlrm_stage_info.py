#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_stage_info
short_description: Say how far the stages of a host are
description:
  - Returns all stages, or one, in one call. Waits for news when told to.
  - Renews the run's lease. Saves log and exit code of a container that ended, then removes it.
extends_documentation_fragment: [dlrm.root, dlrm.catalogue, dlrm.request, dlrm.controller]
options:
  run_id:
    description: The run. Without it the keys that depend on it are null.
    type: str
  image:
    description: Name of the benchmark image, by content. Without it the keys that depend on it are
      null.
    type: str
  stage:
    description: Look at this stage only.
    type: str
  wait_seconds:
    description: Return after this many seconds even if nothing changed. By default 15 with
      O(token), else 0.
    type: float
  token:
    description: RV(token) of the previous call. What that call said is not news.
    type: str
    default: ""
attributes:
  check_mode: {support: full, description: Renews and saves nothing.}
  diff_mode: {support: none, description: Changes no result.}
  idempotent: {support: full, description: Changes no result.}
requirements:
  - docker (Python SDK)
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Look how far the stages are
  dlrm_stage_info:
    root: /srv/dlrm
    catalogue: "{{ lookup('ansible.builtin.file', 'benchmark/stages.json') | from_json }}"
    request: "{{ read.request }}"
    run_id: "{{ planned.run_id }}"
    image: dlrm-bench:1f2e3d4c5b6a
    controller: "{{ read.controller }}"
  become: true
  register: found
"""

RETURN = r"""
stages:
  description:
    - In order, each as M(dlrm_stage) returns one. The state is done, running, failed, absent,
      skipped, or unknown while the container engine does not answer.
  returned: success
  type: list
  elements: dict
token:
  description: What this call said, for the next one.
  returned: success
  type: str
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.container.engine import Engine
from ansible.module_utils.dlrm_fleet.stages.asked import Asked
from ansible.module_utils.dlrm_fleet.stages.poll import POLL_SECONDS
from ansible.module_utils.dlrm_fleet.stages.watch import common_token, watch

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "catalogue": {"type": "dict", "required": True},
    "request": {"type": "dict", "required": True},
    "run_id": {"type": "str"},
    "image": {"type": "str"},
    "controller": {"type": "dict", "required": True},
    "stage": {"type": "str"},
    "wait_seconds": {"type": "float"},
    "token": {"type": "str", "default": "", "no_log": False},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    root = Path(params["root"])
    asked = Asked(
        root,
        params["catalogue"],
        params["request"],
        params["run_id"] or None,
        params["image"] or None,
        params["controller"],
    )
    token, wait = params["token"], params["wait_seconds"]
    if wait is None:
        wait = POLL_SECONDS if token else 0
    with as_owner_of(root):
        seen = watch(asked.plan(), Engine(root), params["stage"], wait, token, check)
    return {"stages": [asdict(view) for view in seen], "token": common_token(seen)}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        found = run(module.params, module.check_mode)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

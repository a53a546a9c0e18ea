#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_run_plan
short_description: Decide which run a fleet continues, or that it starts a new one
description:
  - Takes the runs of all hosts (M(dlrm_run_info)). The newest open run of the same request whose
    holder is gone is adopted. Fails while another controller holds a run, and names it.
  - Fails before anything is measured if two hosts are one machine, and names both.
  - A run stays open until its record is stored, so the next command collects a run that finished
    while nobody watched.
extends_documentation_fragment: [dlrm.request_sha256, dlrm.controller]
options:
  request:
    description: The normalised request of M(dlrm_request); its run_id names a run.
    type: dict
    required: true
  hosts:
    description:
      - For each host its name (host), its runs (runs, null where they were not read), its machine
        as M(dlrm_run_info) returned it, and its own request_sha256 if its sources are its own.
    type: list
    elements: dict
    required: true
attributes:
  check_mode: {support: full, description: Only decides.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: none, description: A new run has a new id each time.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Choose one run for all hosts
  dlrm_run_plan:
    request: "{{ read.request }}"
    request_sha256: "{{ read.request_sha256 }}"
    controller: "{{ read.controller }}"
    hosts:
      - host: node1.example.com
        runs: "{{ found.runs }}"
  delegate_to: localhost
  run_once: true
  become: false
  register: planned
"""

RETURN = r"""
run_id:
  description: The run all hosts share.
  returned: success
  type: str
  sample: 20260131T120000Z-0a1b2c
how:
  description:
    - V(new); V(adopted) (its holder is gone); V(collected) (its holder is gone, and it was
      measured); V(closed) (run_id names it, and it is recorded).
  returned: success
  type: str
message:
  description: Which run, how and why, in one line.
  returned: success
  type: str
measures:
  description: Whether the hosts measure; a closed run is only read.
  returned: success
  type: bool
unknown_to:
  description: Hosts that know nothing of the adopted or collected run. The machine of that name may
    have stored its results and been released; this one is in its place.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.runs.choose import decide

ARGUMENTS: dict[str, Any] = {
    "request": {"type": "dict", "required": True},
    "request_sha256": {"type": "str", "required": True},
    "controller": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "dict", "required": True},
}


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    decided: dict[str, Any] = decide(
        params["request"]["run_id"], params["request_sha256"], params["controller"], params["hosts"]
    )
    return decided


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

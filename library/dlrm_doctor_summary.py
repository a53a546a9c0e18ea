#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_doctor_summary
short_description: Say for each host what prevents a run
description:
  - Words what was found on hosts, with remedies. Reads and writes nothing.
options:
  hosts:
    description: The names of the benchmark hosts.
    type: list
    elements: str
    required: true
  storage:
    description: The storage node's name.
    type: str
    required: true
  tried:
    description:
      - What M(dlrm_ways) returned, by the host's name; of the storage node under C(localhost). A
        machine that is not in it was lost.
    type: dict
    required: true
  distributions:
    description: The oldest known release of each distribution. If empty, none is refused.
    type: dict
    default: {}
attributes:
  check_mode: {support: full, description: Only computes.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Say what is missing
  dlrm_doctor_summary:
    hosts: [arm-01]
    storage: archive-01
    tried:
      arm-01:
        refused: {step: connection, said: Connection timed out}
        address: 192.0.2.11
  register: doctor
"""

RETURN = r"""
lines:
  description: Each host's findings, what is missing first; the storage node's at the end.
  returned: always
  type: list
  elements: str
fit:
  description: Whether nothing prevents a run.
  returned: always
  type: bool
unfit:
  description: Names of the hosts that are not ready.
  returned: always
  type: list
  elements: str
refused:
  description:
    - phase and message for each host that a run refuses, because one of its ways has failed, or one
      to the storage node.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.wording import printable
from ansible.module_utils.dlrm_fleet.support import doctor
from ansible.module_utils.dlrm_fleet.support.ways import words

ARGUMENTS: dict[str, Any] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "storage": {"type": "str", "required": True},
    "tried": {"type": "dict", "required": True},
    "distributions": {"type": "dict", "default": {}},
}


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    tried = params["tried"]
    node = words.read(params["storage"], tried.get("localhost"))
    hosts = [words.read(name, tried.get(name)) for name in params["hosts"]]
    hosts, node = words.with_storage(words.with_clocks(hosts, node), node)
    found = {one.name: doctor.host_findings(one, params["distributions"]) for one in hosts}
    found[f"{node.name} (storage node)"] = doctor.way_findings(node.ways)
    shown = [line for name, one in found.items() for line in doctor.lines(name, one)]
    unfit = [name for name, one in found.items() if not doctor.is_fit(one)]
    nothing_stored = doctor.storage_refusal(node)
    refusals = {one.name: doctor.refusal(one) or nothing_stored for one in hosts}
    return {
        "lines": [printable(line) for line in shown],
        "fit": not unfit,
        "unfit": unfit,
        "refused": {name: refused for name, refused in refusals.items() if refused},
    }


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

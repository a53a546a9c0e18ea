#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_run_summary
short_description: Account for every host of a run
description:
  - Makes the table that ends a run and decides, by O(exit_policy), whether it passed.
  - A host without a record is listed with its failure, or as missing. One whose record cannot be
    used is listed as failed, with the reason. What hosts say is escaped for the terminal.
  - With O(folder) it writes the verdict there, as data and as a file for C(--limit). It says which
    file it cannot write, and does not fail.
options:
  hosts:
    description: Names of all hosts of the run; one without an entry in O(results) is missing.
    type: list
    elements: str
    default: []
  results:
    description: What is known, one entry for each host.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: The host's name in the inventory.
        type: str
        required: true
      failure:
        description: phase and message of what ended the host's run early.
        type: dict
      run:
        description: The host's C(run.json), as M(dlrm_record) returns it.
        type: dict
  exit_policy:
    description: V(all) or V(any) host must pass, or that percentage of them, 1 to 100.
    type: str
    default: all
  run_id:
    description: The run; left out when none was found or made.
    type: str
  storage:
    description: Where the storage node keeps the runs, NODE:FOLDER.
    type: str
    required: true
  report:
    description: Where the report lies, or why it was not written.
    type: str
    default: "-"
  precision:
    description: What was asked for; names the folder of results on each host.
    type: str
    required: true
  folder:
    description:
      - Write C(verdict-NAME.json) and, when a host did not pass, C(failed-NAME.limit) into this
        folder.
    type: path
  name:
    description: The NAME of these files.
    type: str
attributes:
  check_mode: {support: full, description: Only computes.}
  diff_mode: {support: none, description: The table shows it.}
  idempotent: {support: full, description: Equal files stay as they are.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Account for every host
  dlrm_run_summary:
    results:
      - host: arm-01
        run: "{{ hostvars['arm-01'].recorded.run }}"
      - host: arm-02
        failure: {phase: unreachable, message: Connection timed out}
    exit_policy: 50
    storage: storage-01:/srv/dlrm-storage
    precision: int8
    folder: ~/.local/state/dlrm-fleet
    name: 20261110T121314Z-0a1b2c
  register: run_summary
"""

RETURN = r"""
table:
  description: The table, at most 100 columns wide, with each host's reasons.
  returned: always
  type: str
lines:
  description: The same, line by line.
  returned: always
  type: list
  elements: str
passed:
  description: Whether enough hosts passed.
  returned: always
  type: bool
document:
  description: The same as data; see C(docs/contracts/verdict.schema.json).
  returned: always
  type: dict
limit:
  description:
    - Lines of a file for C(--limit @FILE), the hosts that did not pass and localhost.
    - Empty when all passed.
  returned: always
  type: list
  elements: str
files:
  description: Paths of the files it wrote, by what they hold, V(verdict) and V(limit).
  returned: always
  type: dict
places:
  description: Where everything lies, a line each; before them why a file could not be written.
  returned: always
  type: str
refusal:
  description: What to say where RV(passed) is false.
  returned: always
  type: str
would:
  description: What a real run would bring; for check mode.
  returned: always
  type: str
refused:
  description: What a real run would refuse, a message for each host; for check mode.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request.values import Problems, Reader
from ansible.module_utils.dlrm_fleet.results.summary import (
    check_words,
    places,
    refusal,
    summarise,
)
from ansible.module_utils.dlrm_fleet.results.verdict_files import VerdictFiles

ARGUMENTS: dict[str, Any] = {
    "hosts": {"type": "list", "elements": "str", "default": []},
    "results": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "host": {"type": "str", "required": True},
            "failure": {"type": "dict"},
            "run": {"type": "dict"},
        },
    },
    "exit_policy": {"type": "str", "default": "all"},
    "run_id": {"type": "str"},
    "storage": {"type": "str", "required": True},
    "report": {"type": "str", "default": "-"},
    "precision": {"type": "str", "required": True},
    "folder": {"type": "path"},
    "name": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_by={"folder": ["name"]}, supports_check_mode=True
    )
    problems = Problems()
    policy = Reader(module.params, problems).exit_policy("exit_policy")
    if problems.sentences:
        module.fail_json(msg=problems.sentences[0])
    params = module.params
    outcome = summarise(params["results"], policy, params["hosts"], params["run_id"])
    document, written, changed, unwritten = outcome["document"], {}, False, ""
    if params["folder"] and not module.check_mode:
        files = VerdictFiles(Path(params["folder"]), params["name"])
        try:
            changed = files.write(document, outcome["limit"])
        except (FleetError, OSError) as error:
            unwritten = (
                f"The verdict was not written to {params['folder']!r} on this machine: {error}\n"
            )
        written = files.written
    module.exit_json(
        changed=changed,
        files=written,
        places=unwritten
        + places(document, written, params["storage"], params["report"], params["precision"]),
        refusal=refusal(outcome["lines"], written),
        **check_words(document, params["hosts"], params["storage"]),
        **outcome,
    )


if __name__ == "__main__":
    main()

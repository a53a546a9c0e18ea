#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_artifact
short_description: Fetch a host's artifacts and run files to the storage node
description:
  - Runs on the storage node and pulls with rsync. A file gets its name only after its size and
    sha256 are found to equal what the host's C(stage.json) promises.
  - A file whose sha256 the store already has costs no transfer. A killed transfer leaves
    C(incoming/<sha256>.partial) and goes on from there.
requirements:
  - rsync on both machines
extends_documentation_fragment: [dlrm.storage_root, dlrm.host, dlrm.source]
options:
  run_id:
    description: The run of O(run_files); empty when artifacts alone are fetched.
    type: str
    required: true
  artifacts:
    description: The files with published names, as M(dlrm_result_info) returns them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the file.
        type: str
        required: true
      path:
        description: Absolute path on the host.
        type: str
        required: true
      bytes:
        description: Promised size.
        type: int
        required: true
      sha256:
        description: Promised sha256.
        type: str
        required: true
      link:
        description: Readable name below C(artifacts/<host>/).
        type: str
        required: true
  run_files:
    description: The run's own files, as M(dlrm_result_info) returns them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Path in the run's folder.
        type: str
        required: true
      path:
        description: Absolute path on the host.
        type: str
        required: true
      bytes:
        description: Promised size.
        type: int
        required: true
      sha256:
        description: Promised sha256.
        type: str
        required: true
  stages:
    description:
      - What other hosts may restore, as M(dlrm_result_info) returns it. It is kept below
        C(stages/), by key. C(files) says whether the outputs are fetched or only the manifest.
    type: list
    elements: dict
    default: []
    suboptions:
      document:
        description: The stage's C(stage.json).
        type: dict
        required: true
      folder:
        description: Where its outputs lie on the host.
        type: path
        required: true
      files:
        description: Whether its outputs are fetched.
        type: bool
        required: true
      source:
        description: The user's folder it was made from; folder, files.
        type: dict
  makers:
    description:
      - The hosts whose O(stages) are kept for other hosts; empty means every host's. Other outputs
        under a key that is kept already are refused, from any host.
    type: list
    elements: str
    default: []
  streams:
    description: How many large files are fetched at once; small ones are fetched together.
    type: int
    default: 4
  transfers:
    description: How many hosts the storage node serves at once; one more waits.
    type: int
    default: 4
  keep_days:
    description:
      - For how many days the storage node keeps what is no record and nobody restores - entries of
        collected runs, parts of transfers that nobody continued, damaged copies. V(0) means for
        ever.
    type: int
    default: 0
attributes:
  check_mode: {support: full, description: Says what would be fetched.}
  diff_mode: {support: full, description: Lists each file that is missing or not linked yet.}
  idempotent: {support: full, description: Files that are there are not fetched again.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Fetch the artifacts of this host
  dlrm_artifact:
    storage_root: /srv/dlrm-storage
    host: "{{ inventory_hostname }}"
    run_id: 20260131T120000Z-0a1b2c
    artifacts: "{{ result.artifacts }}"
    run_files: "{{ result.run_files }}"
    source:
      address: 192.0.2.10
      user: ubuntu
      key_file: /home/storage/.ssh/id_dlrm
  delegate_to: storage-01
"""

RETURN = r"""
transferred_bytes:
  description: Bytes that were transferred.
  returned: always
  type: int
reused:
  description: Files that cost no transfer.
  returned: always
  type: int
refused:
  description: Why a stage is not kept for other hosts; also given as warnings.
  returned: always
  type: list
  elements: str
lines:
  description: One line for each file, what was done with it.
  returned: always
  type: list
  elements: str
  sample: ["dlrm-multihot-pytorch.pt: reused, the storage node has it (412.0 MiB)"]
"""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.storage.node import spool
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull, Step
from ansible.module_utils.dlrm_fleet.storage.node.slots import place
from ansible.module_utils.dlrm_fleet.storage.node.tidy import tidy
from ansible.module_utils.dlrm_fleet.storage.node.transfer import run_transfer
from ansible.module_utils.dlrm_fleet.storage.rsync import SSH_OPTIONS, reach
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import (
    offered_artifacts,
    offered_run_files,
    offered_stages,
)

FILE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "bytes": {"type": "int", "required": True},
    "sha256": {"type": "str", "required": True},
}
ARTIFACT: dict[str, Any] = {**FILE, "link": {"type": "str", "required": True}}
ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "host": {"type": "str", "required": True},
    "run_id": {"type": "str", "required": True},
    "artifacts": {"type": "list", "elements": "dict", "default": [], "options": ARTIFACT},
    "run_files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "stages": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "document": {"type": "dict", "required": True},
            "folder": {"type": "path", "required": True},
            "files": {"type": "bool", "required": True},
            "source": {"type": "dict"},
        },
    },
    "keep_days": {"type": "int", "default": 0},
    "source": {"type": "dict", "options": SSH_OPTIONS},
    "makers": {"type": "list", "elements": "str", "default": []},
    "streams": {"type": "int", "default": 4},
    "transfers": {"type": "int", "default": 4},
}


def diff(steps: list[Step]) -> dict[str, str]:
    """Each file that has to be fetched or linked appears in `after` alone."""
    there = [step for step in steps if not step.changes]
    before = "".join(f"{step.item.sha256}  {step.item.name}\n" for step in there)
    after = "".join(f"{step.item.sha256}  {step.item.name}\n" for step in steps)
    return {"before": before, "after": after}


def run(pull: Pull, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    offer = Fields(params, f"cannot use what {params['host']} offers", "its offer")
    stages, refused = pull.store.accept(params["host"], offered_stages(offer, STAGES))
    run_files = offered_run_files(offer)
    items = pull.items(params["host"], offered_artifacts(offer), params["run_id"], run_files)
    items += pull.stage_items(stages, items)
    transferred = 0
    if check_mode:
        steps = pull.plan(items)
    else:
        # Artifacts alone belong to no run; each file has its own lock.
        of_run = spool.locked(pull.root, params["run_id"], params["host"])
        with of_run if run_files else nullcontext():
            steps = pull.plan(items)
            if any(step.action != "reuse" for step in steps):
                with place(pull.root, params["transfers"]):
                    # Another host may have brought them while this one waited.
                    steps = pull.plan(items)
                    transferred = pull.apply_all(steps, params["streams"])
            else:
                pull.apply_all(steps)
    kept, late = pull.store.keep_all(params["host"], stages, check_mode)
    refused += late
    return {
        "changed": kept or any(step.changes for step in steps),
        "transferred_bytes": transferred,
        "reused": sum(step.action == "reuse" for step in steps),
        "refused": refused,
        "warnings": refused,
        "lines": [step.line() for step in steps],
        "diff": diff(steps),
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def pull_from_host(params: dict[str, Any], check: bool) -> dict[str, Any]:
        root, source = Path(params["storage_root"]), reach(params["source"], "read")
        outcome = run(Pull(root, source, run_transfer, params["makers"]), params, check)
        if not check:
            tidy(root, params["keep_days"], time.time())
        return outcome

    finish(module, by_owner("storage_root", pull_from_host))


if __name__ == "__main__":
    main()

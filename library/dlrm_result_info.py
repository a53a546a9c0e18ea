#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_result_info
short_description: Judge what a run left on a host
description:
  - Finds the outputs of the request's stages below O(root), reads LoadGen's logs and the score of
    the accuracy run, and judges them. A missing or broken output gives a verdict, not an error.
  - Lists the files that leave the host, each with its size and sha256.
extends_documentation_fragment: [dlrm.root, dlrm.catalogue, dlrm.request, dlrm.reads]
options:
  run_id:
    description: The run; empty to look for nothing that is measured in one.
    type: str
    required: true
  image:
    description: The benchmark image's name, which says its content.
    type: str
    required: true
  what:
    description:
      - V(accuracy) judges only the accuracy run, before performance is measured.
      - V(run) judges the whole run and lists its files.
    type: str
    choices: [accuracy, run]
    default: run
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Judge the run
  dlrm_result_info:
    root: /srv/dlrm
    catalogue: "{{ lookup('ansible.builtin.file', 'benchmark/stages.json') | from_json }}"
    request: "{{ request.request }}"
    run_id: 20260131T120000Z-0a1b2c
    image: dlrm-bench:1f2e3d4c5b6a
  register: result
"""

RETURN = r"""
accuracy:
  description: The score, or null; see C(docs/contracts/run.schema.json).
  returned: always
  type: dict
performance:
  description: LoadGen's figures, or null; see C(docs/contracts/run.schema.json).
  returned: when O(what=run)
  type: dict
verdict:
  description: status, reasons, grade, evidence.
  returned: when O(what=run)
  type: dict
comparability:
  description: The marks, and what is the same as in MLCommons' reference and what differs.
  returned: when O(what=run)
  type: dict
summary:
  description: LoadGen's C(mlperf_log_summary.txt); empty if there is none.
  returned: when O(what=run)
  type: str
artifacts:
  description: The prepared files that exist; name, path, bytes, sha256, link.
  returned: when O(what=run)
  type: list
  elements: dict
stages:
  description: Stages that other hosts may restore; document (stage.json), folder, files, source.
  returned: when O(what=run)
  type: list
  elements: dict
run_files:
  description: The files of the run's folder; path on the host, name in the folder, bytes, sha256.
  returned: when O(what=run)
  type: list
  elements: dict
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.judge.loadgen_log import SUMMARY_NAME
from ansible.module_utils.dlrm_fleet.results import on_host

ARGUMENTS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "catalogue": {"type": "dict", "required": True},
    "request": {"type": "dict", "required": True},
    "run_id": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "what": {"type": "str", "choices": ["accuracy", "run"], "default": "run"},
}


def read(params: dict[str, Any], architecture: str) -> dict[str, Any]:
    root = Path(params["root"])
    found = on_host.find(
        root,
        params["catalogue"],
        params["request"],
        params["run_id"] or None,
        params["image"],
        architecture,
    )
    judgement = on_host.judge_found(found, params["request"])
    if params["what"] == "accuracy":
        return {"accuracy": judgement.accuracy}
    return {
        "accuracy": judgement.accuracy,
        "performance": judgement.performance,
        "verdict": judgement.verdict,
        "comparability": judgement.comparability,
        "summary": found.text("performance", SUMMARY_NAME) or "",
        "artifacts": on_host.artifacts(found, architecture),
        "stages": on_host.shared_stages(found, params["request"]),
        "run_files": on_host.run_files(found),
    }


def run(params: dict[str, Any]) -> dict[str, Any]:
    with as_owner_of(Path(params["root"])):
        return read(params, os.uname().machine)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, lambda params, _check: run(params))


if __name__ == "__main__":
    main()

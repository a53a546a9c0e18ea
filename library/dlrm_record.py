#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_record
short_description: Record a run of one host, once and for all
description:
  - Runs on the storage node. Reads the run's folder, judges it again, and writes C(run.json) and
    C(SHA256SUMS); all files become read-only. Every file is then compared with C(SHA256SUMS), and
    what was verified is kept beside the folder.
  - What a host says is read strictly. A host whose document is out of range gets a record that
    says so; its verdict is V(failed).
  - A second call with the same content changes nothing; other content is refused.
extends_documentation_fragment: [dlrm.storage_root, dlrm.host, dlrm.request, dlrm.request_sha256]
options:
  run_id:
    description: The run.
    type: str
    required: true
  controller:
    description: Who ran it, C(user@hostname).
    type: str
    required: true
  opened_at:
    description: When the run was opened; UTC, RFC 3339, seconds.
    type: str
    required: true
  image:
    description: The benchmark image.
    type: dict
    default: {}
    suboptions:
      name:
        description: Its name, which says its content.
        type: str
        default: ""
      id:
        description: Its digest in the container engine.
        type: str
        default: ""
  failure:
    description: Why the host did not finish; left out if it did.
    type: dict
    suboptions:
      phase:
        description: The phase that failed; V(unreachable) if the host did not answer.
        type: str
        required: true
      message:
        description: The error's text.
        type: str
        required: true
attributes:
  check_mode: {support: full, description: Returns the record that would be written.}
  diff_mode: {support: full, description: Shows a new record.}
  idempotent: {support: full, description: A recorded run is not written again.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Record the run
  dlrm_record:
    storage_root: /srv/dlrm-storage
    run_id: 20260131T120000Z-0a1b2c
    host: "{{ inventory_hostname }}"
    request: "{{ request.request }}"
    request_sha256: "{{ request.request_sha256 }}"
    controller: ops@controller
    opened_at: "2026-01-31T12:00:00Z"
    image:
      name: dlrm-bench:1f2e3d4c5b6a
      id: sha256:0123
  delegate_to: storage-01
"""

RETURN = r"""
path:
  description: The run's folder.
  returned: always
  type: str
  sample: /srv/dlrm-storage/runs/20260131T120000Z-0a1b2c/arm-01
run:
  description: The content of C(run.json); see C(docs/contracts/run.schema.json).
  returned: always
  type: dict
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.results import record
from ansible.module_utils.dlrm_fleet.storage.node import spool

ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "request": {"type": "dict", "required": True},
    "request_sha256": {"type": "str", "required": True},
    "controller": {"type": "str", "required": True},
    "opened_at": {"type": "str", "required": True},
    "image": {
        "type": "dict",
        "default": {},
        "options": {
            "name": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
        },
    },
    "failure": {
        "type": "dict",
        "options": {
            "phase": {"type": "str", "required": True},
            "message": {"type": "str", "required": True},
        },
    },
}


def run(params: dict[str, Any], check_mode: bool, now: str) -> dict[str, Any]:
    folder = record.run_folder(Path(params["storage_root"]), params["run_id"], params["host"])
    stored = record.recorded(folder)
    old = None if stored is None else stored.document
    document = record.build(
        folder,
        host=params["host"],
        run_id=params["run_id"],
        request=params["request"],
        request_sha256=params["request_sha256"],
        image={"name": "", "id": "", **params["image"]},
        controller=params["controller"],
        opened_at=params["opened_at"],
        recorded_at=now,
        failure=params["failure"],
    )
    if old is not None:
        record.refuse_change(folder, old, document)
    changed = old is None or not record.is_complete(folder)
    if not check_mode:
        record.write(folder, document)
        # The storage node need not collect this run any more.
        spool.mark_collected(Path(params["storage_root"]), params["run_id"], params["host"])
    kept = old or document
    return {
        "changed": changed,
        "path": str(folder),
        "run": kept,
        "diff": {"before": _text(old), "after": _text(kept)},
    }


def _text(document: dict[str, Any] | None) -> str:
    return "" if document is None else json.dumps(document, indent=2, sort_keys=True) + "\n"


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(
        module,
        by_owner("storage_root", lambda params, check: run(params, check, format_time(utc_now()))),
    )


if __name__ == "__main__":
    main()

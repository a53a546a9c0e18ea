#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_access
short_description: Let the storage node's two keys into a benchmark host
description:
  - Each key runs one command, without a shell, from the storage node's addresses only. One key
    sends files below O(root), the other receives files into C(incoming/) there.
  - C(authorized_keys) is read and written with the rights of O(user). Other lines keep their bytes.
  - Also keeps a run's request beside its lock, so that the storage node can collect it by itself.
extends_documentation_fragment: [dlrm.root]
options:
  user:
    description:
      - The login user whose C(authorized_keys) is changed, as the connection has it;
        C(user@domain) and C(DOMAIN\user) too. Required when lines change. Nobody takes its place.
    type: str
    default: ""
  owner:
    description: uid:gid of everything below O(root).
    type: str
  fleet:
    description: Name of the fleet, which marks its lines in C(authorized_keys).
    type: str
    required: true
  keys:
    description: The public halves, as M(dlrm_storage_keys) returns them. If empty, no key changes.
    type: dict
    default: {}
  sources:
    description: The storage node's addresses, as this host sees them.
    type: list
    elements: str
    default: []
  program:
    description: The storage program on this host, see M(dlrm_storage_program).
    type: path
    default: /opt/dlrm-fleet/storage.pyz
  run_id:
    description: The open run for which O(collect) is kept.
    type: str
  collect:
    description: What a visit needs besides the run's id; catalogue, request, image.
    type: dict
  state:
    description:
      - V(absent) removes the fleet's lines, also those in root's C(authorized_keys), where an older
        release put them if the inventory named no login user.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode: {support: full, description: Same answer; nothing is written.}
  diff_mode: {support: full, description: Each authorized_keys before and after.}
  idempotent: {support: full, description: Lines that are there stay as they are.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Let the storage node in
  dlrm_storage_access:
    user: ubuntu
    root: /srv/dlrm
    fleet: lab
    keys: "{{ keys.public }}"
    sources: [192.0.2.20]
"""

RETURN = r"""
host_keys:
  description: This host's public SSH keys, for the storage node's known hosts.
  returned: when O(keys) is given
  type: list
  elements: str
"""

import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.runs.runs import COLLECT_NAME
from ansible.module_utils.dlrm_fleet.storage import keys
from ansible.module_utils.dlrm_fleet.storage.host import authorized_keys
from ansible.module_utils.dlrm_fleet.storage.host.gate import MODES
from ansible.module_utils.dlrm_fleet.storage.node import spool

ARGUMENTS: dict[str, Any] = {
    "user": {"type": "str", "default": ""},
    "root": {"type": "path", "required": True},
    "owner": {"type": "str"},
    "fleet": {"type": "str", "required": True},
    "keys": {"type": "dict", "default": {}, "no_log": False},
    "sources": {"type": "list", "elements": "str", "default": []},
    "program": {"type": "path", "default": "/opt/dlrm-fleet/storage.pyz"},
    "run_id": {"type": "str"},
    "collect": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    outcome: dict[str, Any] = {"changed": False, "host_keys": []}
    if params["keys"] or params["state"] == "absent":
        outcome = _lines(params, check)
    if params["collect"] is not None and params["run_id"]:
        path = Path(params["root"]) / "runs" / params["run_id"] / COLLECT_NAME
        document = {"schema_version": 1, **params["collect"]}
        with as_owner_of(Path(params["root"])):
            if spool.write_entry(path, document, check):
                outcome["changed"] = True
                if not check and params["owner"]:
                    Owner(params["owner"]).take(path)
    return outcome


def _lines(params: dict[str, Any], check: bool) -> dict[str, Any]:
    login = authorized_keys.account(params["user"])
    accounts, lines = [login], []
    if params["state"] == "present":
        lines = [_line(params, mode) for mode in MODES]
        if not check:
            authorized_keys.ensure_incoming(Path(params["root"]), login)
    elif login.uid != 0:
        accounts.append(authorized_keys.account("root"))
    diffs = []
    for who in accounts:
        before, after = authorized_keys.change(
            who, lambda content: keys.merged(content, params["fleet"], lines), check
        )
        if after != before:
            diffs.append(
                {
                    "before_header": str(who.authorized_keys),
                    "after_header": str(who.authorized_keys),
                    "before": before.decode(errors="replace"),
                    "after": after.decode(errors="replace"),
                }
            )
    host_keys = keys.host_keys(Path("/etc/ssh")) if lines else []
    return {"changed": bool(diffs), "host_keys": host_keys, "diff": diffs}


def _line(params: dict[str, Any], mode: str) -> str:
    return keys.key_line(
        params["keys"].get(mode, ""),
        mode,
        params["fleet"],
        params["sources"],
        sys.executable,
        params["program"],
        params["root"],
    )


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

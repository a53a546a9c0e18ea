#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_request
short_description: Check and type the public variables of a benchmark
description:
  - The only reader of the unprefixed variables (precision, profile, deadline and so on). One
    message refuses every unknown name, with the nearest known one, and every bad value, with the
    allowed ones. A variable of the inventory is refused if its name is almost a known one.
  - Sources and their files of secrets may differ by host. Other values that differ are refused,
    with the hosts.
  - A source that holds a secret (userinfo or a signature in a URL, a key in a remote) is refused.
    The secret stands in a file of mode 0600, which is checked here and enters nothing returned.
  - The action plugin of the same name fills in every option but O(group).
extends_documentation_fragment: [dlrm.reads]
options:
  group:
    description:
      - The hosts of this group, within C(--limit), are read. Without it, or if it has none, only
        the task's own host is read.
    type: str
  variables:
    description:
      - A list of C({hosts, variables}) as one JSON text. variables are the public ones and their
        values, strings or typed, which all of these hosts have. Ansible hides this text whole, in
        results and in the system's log.
    type: json
    default: "[]"
  precisions:
    description: The table of precisions, the content of C(benchmark/src/dlrm_bench/precisions.yml).
    type: dict
    default: {}
  extra_names:
    description: Names of the variables given with C(-e).
    type: list
    elements: str
    default: []
  known_names:
    description: Names that begin with C(dlrm_) and that a play or an inventory sets.
    type: list
    elements: str
    default: []
  carried:
    description: The inventory's variables by name, each with the groups and hosts that have it.
    type: dict
    default: {}
  roles_path:
    description: Folders of roles, whose defaults and argument specs name variables.
    type: list
    elements: path
    default: []
  inventory_sources:
    description: The inventory's files and folders, whose group_vars and host_vars name variables.
    type: list
    elements: path
    default: []
  repository:
    description: This project's folder.
    type: path
  controller_pid:
    description: Process id of ansible-playbook on the controller. By default the module's parent.
    type: int
  project_dir:
    description: A folder of the repository, for its commit.
    type: path
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Read the public variables
  dlrm_request:
  delegate_to: localhost
  run_once: true
  become: false
  register: request
"""

RETURN = r"""
request:
  description:
    - The normalised request. parameters as in C(docs/contracts/request.schema.json), run_id,
      run_wait_seconds, force_stages, verify, keep, deadline_seconds, exit_policy, provision,
      release, sources, marks.
  returned: success
  type: dict
request_sha256:
  description:
    - The sha256 of what is measured (parameters and sources). How the run is watched does not enter
      (run_id, run_wait, force_stages, verify, keep, deadline, exit_policy).
  returned: success
  type: str
secret_files:
  description: The controller's files of secrets, by source; only those that are given.
  returned: success
  type: dict
others:
  description:
    - By host, its own request, request_sha256 and secret_files; only hosts whose sources differ
      from those of the first one, of which the values above are.
  returned: success
  type: dict
controller:
  description: Its id (user@host), machine_id (hashed), pid and pid_started (clock ticks).
  returned: success
  type: dict
commit:
  description: The repository's commit; empty when it is unknown.
  returned: success
  type: str
"""

import getpass
import json
import os
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request import names
from ansible.module_utils.dlrm_fleet.request.fleet import Given, fleet_requests
from ansible.module_utils.dlrm_fleet.request.request import request_sha256
from ansible.module_utils.dlrm_fleet.request.secret_files import checked_files
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id, process_started

ARGUMENTS: dict[str, Any] = {
    "group": {"type": "str"},
    "variables": {"type": "json", "default": "[]", "no_log": True},
    "precisions": {"type": "dict", "default": {}},
    "extra_names": {"type": "list", "elements": "str", "default": []},
    "known_names": {"type": "list", "elements": "str", "default": []},
    "carried": {"type": "dict", "default": {}},
    "roles_path": {"type": "list", "elements": "path", "default": []},
    "inventory_sources": {"type": "list", "elements": "path", "default": []},
    "repository": {"type": "path"},
    "controller_pid": {"type": "int"},
    "project_dir": {"type": "path"},
}


def controller(pid: int) -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "id": f"{user}@{socket.gethostname()}",
        "machine_id": machine_id(),
        "pid": pid,
        "pid_started": process_started(pid),
    }


def commit(module: AnsibleModule, folder: str | None) -> str:
    git = module.get_bin_path("git")
    if git is None or folder is None:
        return ""
    # safe.directory: the checkout may belong to another user; rev-parse runs nothing of it.
    arguments = [git, "-C", folder, "-c", "safe.directory=*", "rev-parse", "HEAD"]
    code, text, _errors = module.run_command(arguments)
    return str(text).strip() if code == 0 else ""


def requests(
    params: dict[str, Any], variables: list[dict[str, Any]]
) -> list[tuple[Given, dict[str, Any]]]:
    """Which hosts have which request, request_sha256 and secret_files."""
    fleet = [Given(tuple(one["hosts"]), one["variables"]) for one in variables]
    documented = names.documented(params["roles_path"], params["repository"] or "")
    commented = names.of_inventories(params["inventory_sources"])
    found = fleet_requests(
        fleet,
        params["precisions"],
        params["extra_names"],
        {*params["known_names"], *documented, *commented},
        names.near_misses(params["carried"], documented),
    )
    return [
        (
            given,
            {
                "request": request,
                "request_sha256": request_sha256(request),
                "secret_files": checked_files(given.variables, request["sources"]),
            },
        )
        for given, request in zip(fleet, found)
    ]


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        (_given, first), *others = requests(params, json.loads(params["variables"]))
    except FleetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        **first,
        others={host: read for given, read in others for host in given.hosts},
        controller=controller(params["controller_pid"] or os.getppid()),
        commit=commit(module, params["project_dir"]),
    )


if __name__ == "__main__":
    main()

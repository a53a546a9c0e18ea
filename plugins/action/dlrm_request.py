"""Collects the public variables and has module dlrm_request check them, on the controller."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

# A copy, since plugins import nothing of ours; tests/contract compares it with the original.
PUBLIC = (
    *("precision", "scenario", "implementation", "profile", "weights_source", "data_source"),
    *("weights_secret_file", "data_secret_file", "row_cap", "data_rows", "seed", "min_duration"),
    *("audit", "tune", "run_id", "run_wait", "force_stages", "verify", "keep", "deadline"),
    *("exit_policy", "provision", "release"),
)
# Addresses of mirrors and proxies, which may hold no password. A copy as well.
ADDRESSES = (
    *("dlrm_image_base", "dlrm_image_pip_index_url", "dlrm_image_torch_index_url"),
    *("dlrm_image_build_args", "dlrm_host_pip_environment"),
)
REPOSITORY, PRECISIONS = Path(__file__).parents[2], "benchmark/src/dlrm_bench/precisions.yml"


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        extra_names, inventory = load_extra_vars(self._loader), task_vars["hostvars"]._inventory
        hosts = inventory.get_hosts(ignore_restrictions=True)
        group = inventory.groups.get(self._task.args.get("group"))
        measured = [host for host in group.get_hosts() if host in hosts] if group else []
        arguments = {
            # As one text: Ansible hides it whole, in results and in the system's log.
            "variables": json.dumps(self._variables(measured, task_vars), default=str),
            "precisions": self._loader.load_from_file(str(REPOSITORY / PRECISIONS)),
            "extra_names": sorted(extra_names),
            # An extra variable does not make itself known.
            "known_names": [n for n in task_vars if n.startswith("dlrm_") and n not in extra_names],
            "carried": self._carried(hosts, task_vars.get("ansible_inventory_sources") or []),
            "roles_path": constants.DEFAULT_ROLES_PATH,
            "inventory_sources": task_vars.get("ansible_inventory_sources"),
            "repository": str(REPOSITORY),
            # A worker's parent is ansible-playbook itself.
            "controller_pid": os.getppid(),
            "project_dir": self._loader.get_basedir(),
        }
        return {**result, **self._execute_module("dlrm_request", arguments, task_vars=task_vars)}

    def _variables(self, hosts: list[Any], task_vars: dict[str, Any]) -> list[dict[str, Any]]:
        """Each set of values with the hosts that have it; a play's own values are every host's."""
        hostvars, here = task_vars["hostvars"], task_vars["inventory_hostname"]
        now = {name: self._templar.template(task_vars[name]) for name in _public(task_vars)}
        own = _public(hostvars[here])
        plays = {name: value for name, value in now.items() if own.get(name, ...) != value}
        found: dict[str, dict[str, Any]] = {}
        for host in [str(host) for host in hosts] or [here]:
            variables = {**_public(hostvars[host]), **plays}
            text = json.dumps(variables, default=str, sort_keys=True)
            found.setdefault(text, {"hosts": [], "variables": variables})["hosts"].append(host)
        return list(found.values())

    def _carried(self, hosts: list[Any], sources: list[str]) -> dict[str, list[str]]:
        """The inventory's variables by name, each with the groups and hosts that have it."""
        found, beside = defaultdict(list), self._loader.get_basedir()
        for one in [*sorted({of for host in hosts for of in host.get_groups()}, key=str), *hosts]:
            files = get_vars_from_inventory_sources(self._loader, sources, [one], "task")
            files |= get_vars_from_path(self._loader, beside, [one], "task")
            for name in {*one.vars, *files}:
                found[name].append(f"{type(one).__name__.lower()} {one}")
        return dict(found)


def _public(variables: Any) -> dict[str, Any]:
    return {name: variables[name] for name in (*PUBLIC, *ADDRESSES) if name in variables}

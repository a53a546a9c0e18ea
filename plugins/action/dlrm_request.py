"""Collects the public variables and has module dlrm_request check them, on the controller."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

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
# Also "# dlrm_x:", a documented variable without a default.
VARIABLE = re.compile(r"^[#\s]*(dlrm_\w+):", re.MULTILINE)


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        extra_names = sorted(load_extra_vars(self._loader))
        variables = {
            name: self._templar.template(task_vars[name])
            for name in (*PUBLIC, *ADDRESSES)
            if name in task_vars
        }
        checked = self._execute_module(
            module_name="dlrm_request",
            module_args={
                # As one text: Ansible hides it whole, in results and in the system's log.
                "variables": json.dumps(variables, default=str),
                "precisions": self._loader.load_from_file(str(REPOSITORY / PRECISIONS)),
                "extra_names": extra_names,
                "known_names": sorted(self._known_names(task_vars, extra_names)),
                # A worker's parent is ansible-playbook itself.
                "controller_pid": os.getppid(),
                "project_dir": self._loader.get_basedir(),
            },
            task_vars=task_vars,
        )
        return {**result, **checked}

    def _known_names(self, task_vars: dict[str, Any], extra_names: list[str]) -> set[str]:
        """dlrm_* that roles or inventories name; an extra variable does not make itself known."""
        names = {name for name in task_vars if name.startswith("dlrm_")} - set(extra_names)
        for path in self._documented(task_vars):
            names.update(VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
        return names

    def _documented(self, task_vars: dict[str, Any]) -> Iterator[Path]:
        for folder in map(Path, constants.DEFAULT_ROLES_PATH):
            yield from folder.glob("*/defaults/*.yml")
            yield from folder.glob("*/meta/argument_specs.yml")
        yield from REPOSITORY.glob("inventories/*/fleet.yml")
        for source in map(Path, task_vars.get("ansible_inventory_sources") or ()):
            folder = source if source.is_dir() else source.parent
            yield from (path for path in folder.glob("*_vars/**/*.yml") if path.is_file())

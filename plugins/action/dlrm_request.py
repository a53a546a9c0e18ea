"""Collects the public variables and has module dlrm_request check them, on the controller."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

# A copy, since plugins import nothing of ours; tests/contract compares it with the original.
PUBLIC = (
    "precision",
    "scenario",
    "implementation",
    "profile",
    "weights_source",
    "data_source",
    "row_cap",
    "data_rows",
    "seed",
    "min_duration",
    "audit",
    "tune",
    "run_id",
    "run_wait",
    "force_stages",
    "verify",
    "keep",
    "deadline",
    "exit_policy",
    "provision",
    "release",
)
# Also "# dlrm_x:", a documented variable without a default.
VARIABLE = re.compile(r"^[#\s]*(dlrm_\w+):", re.MULTILINE)


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        extra_names = sorted(load_extra_vars(self._loader))
        variables = {
            name: self._templar.template(task_vars[name]) for name in PUBLIC if name in task_vars
        }
        result.update(
            self._execute_module(
                module_name="dlrm_request",
                module_args={
                    "variables": variables,
                    "extra_names": extra_names,
                    "known_names": sorted(self._known_names(task_vars, extra_names)),
                    # A worker's parent is ansible-playbook itself.
                    "controller_pid": os.getppid(),
                    "project_dir": self._loader.get_basedir(),
                },
                task_vars=task_vars,
            )
        )
        return result

    def _known_names(self, task_vars, extra_names):
        """dlrm_* that roles or inventories name; an extra variable does not make itself known."""
        names = {name for name in task_vars if name.startswith("dlrm_")} - set(extra_names)
        for path in self._documented(task_vars):
            names.update(VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
        return names

    def _documented(self, task_vars):
        for folder in map(Path, constants.DEFAULT_ROLES_PATH):
            yield from folder.glob("*/defaults/*.yml")
            yield from folder.glob("*/meta/argument_specs.yml")
        for source in map(Path, task_vars.get("ansible_inventory_sources") or ()):
            folder = source if source.is_dir() else source.parent
            yield from (path for path in folder.glob("*_vars/**/*.yml") if path.is_file())

"""Runs a module of library/ in this process, as Ansible runs it on a host."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args


def run_module(
    module: ModuleType, capsys: pytest.CaptureFixture[str], **arguments: Any
) -> dict[str, Any]:
    """The module's JSON; `_ansible_check_mode=True` and the like are passed on."""
    capsys.readouterr()
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed

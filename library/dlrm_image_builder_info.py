#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_builder_info
short_description: Say whether a machine can build the image for others
description:
  - A machine can build if its container engine answers and a Python there can drive the engine.
  - Installs nothing.
extends_documentation_fragment: [dlrm.reads]
options:
  pythons:
    description: Paths of Pythons to try, first the preferred one. The module's own is tried last.
    type: list
    elements: path
    default: []
  socket:
    description: The container engine's socket, unless C(DOCKER_HOST) names another one.
    type: path
    default: /var/run/docker.sock
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Ask the storage node
  dlrm_image_builder_info:
    pythons: [/opt/dlrm-fleet/venv/bin/python]
  become: true
  delegate_to: storage-01
  register: answer
"""

RETURN = r"""
architecture:
  description: The engine's architecture, as its kernel names it; empty when RV(problem) is not.
  returned: always
  type: str
python:
  description: The Python that drives the engine; empty when RV(problem) is not.
  returned: always
  type: str
problem:
  description: Why the machine cannot build; empty when it can.
  returned: always
  type: str
  sample: has no container engine that answers at /var/run/docker.sock
"""

import os
import subprocess
import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.host.software import engine_architecture

ARGUMENTS: dict[str, Any] = {
    "pythons": {"type": "list", "elements": "path", "default": []},
    "socket": {"type": "path", "default": "/var/run/docker.sock"},
}
# What the modules of community.docker import.
PACKAGE = "requests"
IMPORT_SECONDS = 60


def can_drive(python: str) -> bool:
    """Whether `python` is there and has the package."""
    try:
        ended = subprocess.run(
            [python, "-c", f"import {PACKAGE}"],
            capture_output=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    named = os.environ.get("DOCKER_HOST") or f"unix://{params['socket']}"
    if not named.startswith("unix://"):
        return _answer(problem="has a DOCKER_HOST that is another machine's")
    socket = named[len("unix://") :]
    architecture = engine_architecture(socket)
    if architecture is None:
        return _answer(problem=f"has no container engine that answers at {socket}")
    python = next(filter(can_drive, [*params["pythons"], sys.executable]), None)
    if python is None:
        return _answer(problem=f"has no Python with the package {PACKAGE}")
    return _answer(architecture, python)


def _answer(architecture: str = "", python: str = "", problem: str = "") -> dict[str, Any]:
    return {"architecture": architecture, "python": python, "problem": problem}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

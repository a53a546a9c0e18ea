#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_builders
short_description: Choose the machine that builds the image for the others
description:
  - In this order, the first that can build for O(architecture), the machines of O(named), the
    controller, the storage node.
  - Can none of them, each host builds for itself and loads no other's image.
  - A measured host never builds for others, unless it is the controller or the storage node.
extends_documentation_fragment: [dlrm.reads]
options:
  image:
    description: Name of the image, for the message.
    type: str
    required: true
  architecture:
    description: The architecture that needs the image.
    type: str
    required: true
  named:
    description: Machines named for it, the preferred one first.
    type: list
    elements: str
    default: []
  controller:
    description: The controller's name.
    type: str
    default: localhost
  storage:
    description: The storage node's name.
    type: str
    default: ""
  measured:
    description: The hosts that are measured.
    type: list
    elements: str
    default: []
  answers:
    description: What M(dlrm_image_builder_info) answered, by machine.
    type: dict
    required: true
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Choose the builder
  dlrm_image_builders:
    image: dlrm-bench:1f2e3d4c5b6a
    architecture: x86_64
    named: [cheap-01]
    storage: storage-01
    measured: [bench-01, bench-02]
    answers:
      cheap-01: {architecture: x86_64, python: /opt/dlrm-fleet/venv/bin/python, problem: ""}
      localhost: {architecture: "", python: "", problem: has no container engine that answers}
      storage-01: {unreachable: true}
  delegate_to: localhost
"""

RETURN = r"""
builder:
  description: Its name; empty when each host builds for itself.
  returned: always
  type: str
kind:
  description: V(named), V(controller) or V(storage); empty without a builder.
  returned: always
  type: str
python:
  description: The Python on the builder that drives its container engine.
  returned: always
  type: str
message:
  description: Who builds, or why nobody does it for all.
  returned: always
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.container.builders import candidate, choose, kinds

ARGUMENTS: dict[str, Any] = {
    "image": {"type": "str", "required": True},
    "architecture": {"type": "str", "required": True},
    "named": {"type": "list", "elements": "str", "default": []},
    "controller": {"type": "str", "default": "localhost"},
    "storage": {"type": "str", "default": ""},
    "measured": {"type": "list", "elements": "str", "default": []},
    "answers": {"type": "dict", "required": True},
}


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    order = kinds(params["named"], params["controller"], params["storage"])
    answers = {name: params["answers"].get(name, {"unreachable": True}) for name in order}
    candidates = [candidate(name, kind, answers[name]) for name, kind in order.items()]
    choice = choose(params["architecture"], candidates, params["measured"])
    builder = choice.builder
    return {
        "builder": builder.name if builder else "",
        "kind": builder.kind if builder else "",
        "python": builder.python if builder else "",
        "message": choice.message(params["image"], params["architecture"]),
    }


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

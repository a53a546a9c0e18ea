#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_same
short_description: Refuse different images of one architecture in one run
description:
  - Two builds of equal content have the same name but are two images. Hosts that were to load one
    image must have that one.
  - Hosts that built for themselves have different images. They are not given to this module.
options:
  name:
    description: Name of the image.
    type: str
    required: true
  architecture:
    description: The architecture whose hosts are compared.
    type: str
    required: true
  images:
    description: The hosts' images; host to the container engine's digest.
    type: dict
    required: true
  architectures:
    description: The hosts' architectures; host to architecture.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: Only compares.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Refuse different images
  dlrm_image_same:
    name: dlrm-bench:1f2e3d4c5b6a
    architecture: x86_64
    images: {bench-01: "sha256:1111", bench-02: "sha256:1111"}
    architectures: {bench-01: x86_64, bench-02: x86_64}
  delegate_to: localhost
"""

RETURN = r"""
msg:
  description: Which host has which image, and what to do.
  returned: failure
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.container.image import check_same

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "architecture": {"type": "str", "required": True},
    "images": {"type": "dict", "required": True},
    "architectures": {"type": "dict", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        check_same(**module.params)
    except FleetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_info
short_description: Name the benchmark image by its content
description:
  - Hashes the build context and the base image. Equal content has one name on every machine.
  - Leaves out tests/, bench/, ca/ and wheels/ at the top, caches, and dot files except
    C(.dockerignore).
extends_documentation_fragment: [dlrm.reads]
options:
  context_dir:
    description: The build context, the folder C(benchmark/) of the repository.
    type: path
    required: true
  base:
    description: The base image by digest, C(name@sha256:...). Ignored with O(base_archive).
    type: str
    default: ""
  base_archive:
    description: An archive of the base image as C(docker save) writes it.
    type: path
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Name the image
  dlrm_image_info:
    context_dir: "{{ playbook_dir }}/../benchmark"
    base_archive: "{{ playbook_dir }}/../.cache/base-image-x86_64.tar"
  delegate_to: localhost
  register: image_info
"""

RETURN = r"""
name:
  description: Name of the image.
  returned: always
  type: str
  sample: dlrm-bench:1f2e3d4c5b6a
content_sha256:
  description: The sha256 over build context and base image.
  returned: always
  type: str
base_reference:
  description: What the build's FROM names, the first tag of O(base_archive) or else O(base).
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.container.image import (
    base_identity,
    content_sha256,
    image_name,
)

ARGUMENTS: dict[str, Any] = {
    "context_dir": {"type": "path", "required": True},
    "base": {"type": "str", "default": ""},
    "base_archive": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    archive = module.params["base_archive"]
    try:
        reference, identity = base_identity(
            module.params["base"], Path(archive) if archive else None
        )
        content = content_sha256(Path(module.params["context_dir"]), identity)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        name=image_name(content),
        content_sha256=content,
        base_reference=reference,
    )


if __name__ == "__main__":
    main()

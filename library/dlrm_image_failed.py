#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_failed
short_description: Keep the output of a failed build and say why it failed
description:
  - M(community.docker.docker_image) returns the whole output of a build in one line. This module
    writes it to O(log) line by line and fails with its last lines.
options:
  name:
    description: Name of the image.
    type: str
    required: true
  host:
    description: The host's name in the inventory, for the message.
    type: str
    required: true
  output:
    description: What the failed build said.
    type: str
    required: true
  log:
    description: Where the whole output is kept.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Same answer; nothing is written.}
  diff_mode: {support: none, description: Always fails.}
  idempotent: {support: none, description: Always fails.}
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Say why the build failed
  dlrm_image_failed:
    name: dlrm-bench:1f2e3d4c5b6a
    host: "{{ inventory_hostname }}"
    output: "{{ built.msg }}"
    log: /opt/dlrm-fleet/build/failed.log
  when: built.image is not defined
"""

RETURN = r"""
msg:
  description: Image, host, log and the last lines of the output.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.container.build_output import LAST_LINES, output_lines

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "output": {"type": "str", "required": True},
    "log": {"type": "path", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    name, host, log = (module.params[key] for key in ("name", "host", "log"))
    lines = output_lines(module.params["output"])
    where = f"The whole output is in {log} there; it ends with"
    try:
        if not module.check_mode:
            Path(log).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        where = f"The whole output could not be written to {log} there ({error}); it ends with"
    last = "\n".join(lines[-LAST_LINES:])
    module.fail_json(msg=f"Building {name} on {host} failed. {where}\n{last}")


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_image_archive
short_description: Look at an image archive before the container engine loads it
description:
  - Refuses an archive that does not hold exactly one image with exactly the tag O(name) and the
    digest O(id). Docker loads every tag of an archive, over tags that are there.
  - Reads archives of C(docker save), with and without an OCI layout. The archive's documents are
    bounded; links that leave it, special files and compressed archives are refused.
  - With O(copy) it copies the archive to a place that a lesser user cannot change, verifies its
    size and sha256, and looks at the copy. When it refuses, no copy stays.
  - With O(offer_below) it copies the archive into a new folder there, for a reader who is let in.
options:
  path:
    description: The archive.
    type: path
    required: true
  name:
    description: The tag that it must hold, and no other.
    type: str
    required: true
  id:
    description: The image's digest, as the container engine names it.
    type: str
    required: true
  copy:
    description: Where the copy lies; its folder must belong to root.
    type: path
  offer_below:
    description:
      - A folder of a lesser user. The copy is made with the rights of that user.
    type: path
  bytes:
    description: The promised size. Needed with O(copy).
    type: int
  sha256:
    description: The promised sha256. Needed with O(copy).
    type: str
  origin:
    description: Where the archive came from, for the message.
    type: str
    default: ""
  todo:
    description: What to do about a refusal, for the message.
    type: str
    default: ""
attributes:
  check_mode: {support: full, description: Looks at the archive without a copy.}
  diff_mode: {support: none, description: Writes a temporary copy only.}
  idempotent:
    support: partial
    description: A copy that is there is made anew; each offer has a folder of its own.
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Verify what arrived
  dlrm_image_archive:
    path: /srv/dlrm/incoming/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    copy: /opt/dlrm-fleet/build/image.tar
    name: dlrm-bench:1f2e3d4c5b6a
    id: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    bytes: 412345344
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    origin: storage-01
  become: true
"""

RETURN = r"""
bytes:
  description: The archive's size.
  returned: success
  type: int
sha256:
  description: The archive's sha256.
  returned: success
  type: str
path:
  description: The folder that O(offer_below) asked for; empty in check mode.
  returned: with O(offer_below)
  type: str
ids:
  description: The digests by which container engines may name its image.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.container.archive import check_image
from ansible.module_utils.dlrm_fleet.container.arrived import look, offer, take

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "id": {"type": "str", "required": True},
    "copy": {"type": "path"},
    "offer_below": {"type": "path"},
    "bytes": {"type": "int"},
    "sha256": {"type": "str"},
    "origin": {"type": "str", "default": ""},
    "todo": {"type": "str", "default": ""},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    path, name, image_id = Path(params["path"]), params["name"], params["id"]
    what = f"refused the archive of the image {name}"
    what += f" from {params['origin']}" if params["origin"] else ""
    try:
        if params["copy"] and not check:
            size, sha256 = params["bytes"], params["sha256"]
            image = take(path, Path(params["copy"]), what, size, sha256, name, image_id)
        else:
            image, size, sha256 = look(path, what)
            check_image(image, what, name, image_id)
    except FleetError as error:
        raise FleetError(error.what, error.why, error.todo or params["todo"]) from None
    outcome = {"bytes": size, "sha256": sha256, "ids": list(image.ids)}
    if params["offer_below"]:
        below = Path(params["offer_below"])
        outcome["path"] = "" if check else str(offer(path, below, what))
        outcome["changed"] = True
    return outcome


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_by={"copy": ["bytes", "sha256"]},
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()

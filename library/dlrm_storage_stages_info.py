#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_storage_stages_info
short_description: Say which stages of a request the storage node has for a host
description:
  - Runs on the storage node. Finds by their keys the stages that serve every host. A host gets the
    files of those that its measurement reads; of all others, the manifest suffices.
extends_documentation_fragment: [dlrm.storage_root, dlrm.catalogue, dlrm.request, dlrm.reads]
options:
  architecture:
    description: The host's architecture.
    type: str
    default: ""
  makers:
    description: The hosts whose stages other hosts get; empty means every host's.
    type: list
    elements: str
    default: []
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: See what can be restored
  dlrm_storage_stages_info:
    storage_root: /srv/dlrm-storage
    catalogue: "{{ dlrm_storage_catalogue }}"
    request: "{{ dlrm_storage_request }}"
  delegate_to: storage-01
"""

RETURN = r"""
stages:
  description:
    - What a host gets; document (stage.json), files (whether with its outputs), maker (the host
      that made it; none if it is not known).
  returned: always
  type: list
  elements: dict
missing:
  description: Each stage that a measurement reads and the storage node lacks, and why.
  returned: always
  type: list
  elements: str
to_make:
  description: RV(missing), stages that are forced, and the request's own folders, which must be
    read to see whether they have changed.
  returned: always
  type: list
  elements: str
catalogue:
  description: O(catalogue) with only the stages that serve every host.
  returned: always
  type: dict
sources:
  description: The files of the request's own folders, as they were last seen; by folder.
  returned: always
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import by_owner
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.stages.catalogue import is_shared
from ansible.module_utils.dlrm_fleet.storage.node.store import StageStore

ARGUMENTS: dict[str, Any] = {
    "storage_root": {"type": "path", "required": True},
    "catalogue": {"type": "dict", "required": True},
    "request": {"type": "dict", "required": True},
    "architecture": {"type": "str", "default": ""},
    "makers": {"type": "list", "elements": "str", "default": []},
}


def read(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    store = StageStore(Path(params["storage_root"]), params["makers"])
    chosen, missing = store.choose(params["catalogue"], params["request"], params["architecture"])
    request, catalogue = params["request"], params["catalogue"]
    given = [source for source in request["sources"].values() if source is not None]
    folders = [source["path"] for source in given if source["kind"] == "folder"]
    looked_at = [f"{folder} is looked at" for folder in folders]
    seen = {folder: store.source(folder) for folder in folders}
    return {
        "stages": [one.as_dict() for one in chosen],
        "missing": missing,
        "to_make": [*missing, *request.get("force_stages", []), *looked_at],
        "catalogue": {**catalogue, "stages": [*filter(is_shared, catalogue["stages"])]},
        "sources": {folder: files for folder, files in seen.items() if files is not None},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    finish(module, by_owner("storage_root", read))


if __name__ == "__main__":
    main()

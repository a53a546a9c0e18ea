#!/usr/bin/python
# Copyright: dlrm-fleet contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: dlrm_ways
short_description: Look at a host and try the ways that a run needs
description:
  - Returns what M(dlrm_host_info) does, and what became of each way that starts at the host; to its
    own root folder through the container engine, to pip's index, to the distribution's mirrors, to
    the registry of the image's base, and to the user's sources. They are tried side by side, each
    for at most 5 s. A way that is not needed is skipped, and says why.
  - The action plugin of the same name logs in and becomes root first. What prevents that is
    returned as refused, and does not end the play.
  - Run for C(localhost), the action plugin asks M(dlrm_storage_ways) on the storage node instead.
extends_documentation_fragment: [dlrm.reads, dlrm.looks]
options:
  login:
    description: Who logs in, as the action plugin found it.
    type: str
    default: ""
  fleet:
    description: The fleet whose two keys are looked for in the login user's C(authorized_keys).
    type: str
    default: default
  packages:
    description: The packages that a run needs of each family of distributions.
    type: dict
    default: {}
  engine_package:
    description: The container engine's package, if it is not the distribution's own.
    type: str
    default: ""
  pip_environment:
    description: Environment of pip on the host.
    type: dict
    default: {}
  pip_index:
    description: The index that pip asks where nothing sets one; the action plugin asks pip.
    type: str
    default: ""
  base:
    description: The image's base, if this host pulls it.
    type: str
    default: ""
  base_elsewhere:
    description: Why this host does not pull it.
    type: str
    default: ""
  sources:
    description: The typed source of each stage that has one.
    type: dict
    default: {}
  secrets:
    description: The text of the secret file of each stage that has one.
    type: dict
    default: {}
  wait_seconds:
    description: How long the machine may take until it answers; only the action plugin uses it.
    type: float
    default: 0
  storage:
    description: The options of M(dlrm_storage_ways), for C(localhost).
    type: dict
author:
  - dlrm-fleet contributors
"""

EXAMPLES = r"""
- name: Try the ways
  dlrm_ways:
    root: /srv/dlrm
    name: "{{ inventory_hostname }}"
  become: true
  register: tried
"""

RETURN = r"""
answer:
  description:
    - host, problems, engine and software of M(dlrm_host_info), ways (what, start, end, state, why
      and todo each), and keys (the modes of the fleet's keys that are in C(authorized_keys)).
  returned: if the host answered
  type: dict
refused:
  description: The step that failed (V(connection) or V(become)), and what ssh, sudo or Python said.
  returned: if the host did not answer
  type: dict
login:
  description: Who logs in.
  returned: always
  type: str
address:
  description: The address that ssh connects to, as the inventory names it.
  returned: always
  type: str
clock:
  description: The host's clock, and the controller's before and after, in seconds since 1970.
  returned: if the host answered
  type: dict
"""

import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dlrm_fleet.base.as_owner import as_user
from ansible.module_utils.dlrm_fleet.base.modules import finish
from ansible.module_utils.dlrm_fleet.host import look
from ansible.module_utils.dlrm_fleet.support.ways.of_host import Host, trials
from ansible.module_utils.dlrm_fleet.support.ways.packages import family
from ansible.module_utils.dlrm_fleet.support.ways.trying import try_all
from ansible.module_utils.dlrm_fleet.wire.secret_file import read_secret

ARGUMENTS: dict[str, Any] = {
    **look.ARGUMENTS,
    "login": {"type": "str", "default": ""},
    "fleet": {"type": "str", "default": "default"},
    "packages": {"type": "dict", "default": {}},
    "engine_package": {"type": "str", "default": ""},
    "pip_environment": {"type": "dict", "default": {}},
    "pip_index": {"type": "str", "default": ""},
    "base": {"type": "str", "default": ""},
    "base_elsewhere": {"type": "str", "default": ""},
    "sources": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "wait_seconds": {"type": "float", "default": 0},
    "storage": {"type": "dict"},
}
# overflowuid(5), by convention nobody.
NOBODY = (65534, 65534)
MODES = ("read", "write")


def owner(login: str, user_ids: str | None) -> tuple[int, int]:
    """The containers' user: who logs in, but never root, whose containers have one of their own."""
    try:
        found = pwd.getpwnam(login)
    except KeyError:
        found = None
    if found is not None and found.pw_uid != 0:
        return found.pw_uid, found.pw_gid
    if user_ids is None:
        return NOBODY
    uid, _, gid = user_ids.partition(":")
    return int(uid), int(gid)


def placed_keys(login: str, fleet: str) -> list[str]:
    """The modes whose line of the fleet is in the user's authorized_keys."""
    try:
        user = pwd.getpwnam(login)
    except KeyError:
        return []
    path = Path(user.pw_dir) / ".ssh/authorized_keys"

    def read() -> dict[str, Any]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        return {"modes": [mode for mode in MODES if f"dlrm-fleet:{fleet}:{mode}" in text]}

    return list(as_user(user.pw_uid, user.pw_gid, read)["modes"])


def secret_urls(params: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        stage: read_secret(text, params["sources"][stage], f"the secret of {stage}").urls
        for stage, text in params["secrets"].items()
        if text.strip() and stage in params["sources"]
    }


def run(params: dict[str, Any], _check: bool) -> dict[str, Any]:
    seen = look.look(params)
    software, engine = seen["software"], seen["engine"]
    wanted = dict(params["packages"].get(family(Path("/"))) or {})
    packages = list(wanted.get("packages") or [])
    engine_package = params["engine_package"] or str(wanted.get("engine") or "")
    if not engine["answers"] and "dockerd" not in software["programs"] and engine_package:
        packages.append(engine_package)
    host = Host(
        name=params["name"],
        root=Path(params["root"]),
        owner=owner(params["login"], software["user"]),
        socket=params["engine_socket"] if engine["answers"] else "",
        lacking=software["missing_packages"],
        wanted=packages,
        pip_environment={key: str(value) for key, value in params["pip_environment"].items()},
        pip_index=params["pip_index"],
        base=params["base"],
        base_elsewhere=params["base_elsewhere"],
        sources=params["sources"],
        secrets=secret_urls(params),
    )
    ways = [way.document() for way in try_all(trials(host))]
    keys = placed_keys(params["login"], params["fleet"])
    return {"answer": {**seen, "ways": ways, "keys": keys, "engine_package": engine_package}}


def main() -> None:
    finish(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()

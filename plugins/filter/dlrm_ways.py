"""A filter for the ways of the storage node: how it reaches each host, with ssh's own settings."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

SSH_SECONDS = 5


def dlrm_ssh_ways(hosts: list[str], hostvars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """dlrm_storage_source of each host, with what only ssh's configuration knows of it.

    The inventory's name may be an alias there, and the user may stand only there.
    """
    return {name: _way(hostvars[name]) for name in hosts}


def _way(known: Mapping[str, Any]) -> dict[str, Any]:
    source = dict(known["dlrm_storage_source"])
    if not source["address"] or (source["user"] and "ansible_host" in known):
        return source
    arguments = [known.get(f"ansible_ssh_{one}_args") or "" for one in ("common", "extra")]
    asked = ["ssh", *shlex.split(" ".join(map(str, arguments))), "-G", str(source["address"])]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, timeout=SSH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return source
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    source["user"] = source["user"] or settings.get("user", "")
    source["address"] = settings.get("hostname", source["address"])
    return source


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dlrm_ssh_ways": dlrm_ssh_ways}

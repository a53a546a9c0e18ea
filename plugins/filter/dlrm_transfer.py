"""A filter for the playbooks' first checks: hosts whose files no transfer could name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# Copies, since plugins import nothing of ours; a test compares them with the originals.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
PATH = re.compile(r"/[A-Za-z0-9_./:+@=,%-]+")


def dlrm_transfer_refusals(roots: dict[str, str], storage_node: str) -> list[str]:
    """A sentence for each name or root folder that would be refused after the measurement.

    `roots`: dlrm_host_root by the host's inventory name. The storage node copies its own files
    without SSH, under any path.
    """
    sentences = []
    for host, root in roots.items():
        if not NAME.fullmatch(host):
            sentences.append(
                f"{host!r} cannot be a host's name in the inventory, because its results get a"
                " folder of that name. Use letters, digits, '_', '.' and '-', the first of them a"
                " letter, a digit or '_'. The address goes into ansible_host."
            )
        if host != storage_node and not PATH.fullmatch(str(root)):
            sentences.append(
                f"dlrm_host_root of {host} is {root!r}, but {storage_node} fetches files over SSH"
                " and takes only letters, digits and _./:+@=,%- in a path. Choose another folder."
            )
    return sentences


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {dlrm_transfer_refusals.__name__: dlrm_transfer_refusals}

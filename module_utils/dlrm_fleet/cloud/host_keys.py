"""Writes SSH host keys, which the cloud's own channel shows, into a known_hosts file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..base.line_file import edit, replaced
from ..wire.ssh_keys import is_host_key
from ..wire.ssh_names import ADDRESS

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
KEY = re.compile(r"((?:ssh|ecdsa)-[a-z0-9-]+) ([A-Za-z0-9+/]+={0,3})")


def from_console(output: str) -> list[str]:
    """Keys of the last block between cloud-init's marks (a machine may have booted twice)."""
    if END not in output or BEGIN not in output:
        return []
    block = output[: output.rindex(END)]
    return [" ".join(pair) for pair in KEY.findall(block[block.rindex(BEGIN) :])]


def merge(content: bytes, keys: dict[str, list[str]], gone: Iterable[str] = ()) -> bytes:
    """known_hosts with these addresses' keys; lines of other addresses keep their bytes.

    `keys`: address -> keys. `gone`: addresses of ended machines, whose lines are removed. Machines
    may choose what is shown as their keys, so whatever is more or less than a key is left out.
    """
    known = {
        address: [key for key in shown if is_host_key(key)]
        for address, shown in keys.items()
        if ADDRESS.fullmatch(address) and any(map(is_host_key, shown))
    }
    names = {address.encode() for address in (*known, *gone)}
    lines = [f"{address} {key}" for address in sorted(known) for key in known[address]]
    return replaced(content, lambda line: line.partition(b" ")[0] in names, lines)


def write(path: str, keys: dict[str, list[str]]) -> bool:
    """Bring the keys into the file, under a lock; returns whether it changed."""
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    before, after = edit(target, lambda content: merge(content, keys))
    return after != before

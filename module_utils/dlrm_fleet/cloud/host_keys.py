"""Writes SSH host keys, which the cloud's own channel shows, into a known_hosts file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..base.documents import write_atomic

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
KEY = re.compile(r"((?:ssh|ecdsa)-[a-z0-9-]+) ([A-Za-z0-9+/]+={0,3})")


def from_console(output: str) -> list[str]:
    """Keys of the last block between cloud-init's marks (a machine may have booted twice)."""
    if END not in output or BEGIN not in output:
        return []
    block = output[: output.rindex(END)]
    return [" ".join(pair) for pair in KEY.findall(block[block.rindex(BEGIN) :])]


def merge(text: str, keys: dict[str, list[str]], gone: Iterable[str] = ()) -> str:
    """known_hosts with these addresses' keys; lines of other addresses stay as they are.

    `keys`: address -> keys. `gone`: addresses of ended machines, whose lines are removed.
    """
    replaced = {*keys, *gone}
    lines = [line for line in text.splitlines() if line.partition(" ")[0] not in replaced]
    lines += [f"{address} {key}" for address in sorted(keys) for key in keys[address]]
    return "".join(f"{line}\n" for line in lines)


def write(path: str, text: str) -> bool:
    """Replaces the file by a rename; returns whether it changed."""
    target = Path(path)
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    if old == text:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, text.encode(), 0o600)
    return True

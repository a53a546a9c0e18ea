"""Lines of authorized_keys and known_hosts for a fleet's two keys."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ..base.errors import FleetError
from ..base.line_file import replaced
from ..wire.ssh_keys import checked_host_key, is_host_key
from ..wire.ssh_names import ADDRESS
from .host.gate import MODES

SOURCE = re.compile(r"[0-9A-Fa-f.:/*]+")
FLEET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# sshd has one host key of each of five types; more are not kept.
MOST_HOST_KEYS = 16


def comment(fleet: str, mode: str) -> str:
    """The comment that marks the fleet's lines."""
    return f"dlrm-fleet:{fleet}:{mode}"


def key_line(
    public: str, mode: str, fleet: str, sources: list[str], python: str, program: str, root: str
) -> str:
    """One line of authorized_keys: from these addresses only, the key runs only the gate."""
    key = _without_comment(public)
    if not is_host_key(key):
        raise FleetError(f"cannot use the fleet's {mode} key", "it is not a public SSH key")
    if mode not in MODES or not FLEET.fullmatch(fleet):
        raise FleetError(
            f"cannot name the {mode} key of fleet {fleet!r}",
            "letters, digits, '_', '.' and '-' are allowed",
        )
    wrong = [source for source in sources if not SOURCE.fullmatch(source)]
    if wrong or not sources:
        raise FleetError(
            f"cannot let the fleet's {mode} key in",
            f"it must be bound to the storage node's addresses, found {wrong or 'none'}",
            "Set dlrm_storage_from to the addresses the hosts see, such as ['192.0.2.20']",
        )
    command = " ".join(shlex.quote(word) for word in (python, "-I", program, "gate", mode, root))
    if '"' in command or "\\" in command or not command.isprintable():
        why = "it contains a quote, a backslash or a control character"
        raise FleetError(f"cannot use {command!r} in authorized_keys", why)
    options = f'restrict,from="{",".join(sources)}",command="{command}"'
    return f"{options} {key} {comment(fleet, mode)}"


def _without_comment(public: str) -> str:
    """Type and key of a .pub file's line."""
    return " ".join(public.strip().split(" ", 2)[:2])


def merged(content: bytes, fleet: str, lines: list[str]) -> bytes:
    """authorized_keys with `lines` in place of the fleet's own; all others stay as they are."""
    ours = tuple(f" {comment(fleet, mode)}".encode() for mode in MODES)
    return replaced(content, lambda line: line.rstrip().endswith(ours), lines)


def host_keys(folder: Path) -> list[str]:
    """This host's public keys, `type base64` each, by the names of their files."""
    found = []
    for path in sorted(folder.glob("ssh_host_*_key.pub")):
        key = _without_comment(path.read_text(encoding="utf-8", errors="replace"))
        # An old machine may have a key of a type that ssh no longer takes.
        if is_host_key(key):
            found.append(key)
    if not found:
        raise FleetError(
            "cannot tell the storage node this host's SSH keys",
            f"there is no ssh_host_*_key.pub in {str(folder)!r}",
            "Set dlrm_storage_key_file to a key of your own. The storage node then reads the "
            "known_hosts of its own user",
        )
    return found


def known_hosts(hosts: list[dict[str, object]]) -> str:
    """The text of known_hosts, as ssh(1) reads it. `hosts`: {address, port, keys} each."""
    lines = set()
    for host in hosts:
        address, port = str(host["address"]), int(str(host["port"] or 22))
        name = address if port == 22 else f"[{address}]:{port}"
        what = f"cannot keep the SSH keys of {address!r}"
        if not ADDRESS.fullmatch(address):
            raise FleetError(what, "it is not a plain address")
        keys = host["keys"]
        if not isinstance(keys, list) or not 0 < len(keys) <= MOST_HOST_KEYS:
            raise FleetError(what, f"a list of 1 to {MOST_HOST_KEYS} keys is wanted")
        lines |= {f"{name} {checked_host_key(key, what)}" for key in keys}
    return "".join(f"{line}\n" for line in sorted(lines))

"""Lines of authorized_keys and known_hosts for a fleet's two keys."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ..base.errors import FleetError
from ..wire.ssh_keys import checked_host_key
from .host.gate import MODES

KEY = re.compile(r"^(ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+) [A-Za-z0-9+/=]+")
SOURCE = re.compile(r"^[0-9A-Fa-f.:/*]+$")
FLEET = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


def comment(fleet: str, mode: str) -> str:
    """The comment that marks the fleet's lines."""
    return f"dlrm-fleet:{fleet}:{mode}"


def key_line(
    public: str, mode: str, fleet: str, sources: list[str], python: str, program: str, root: str
) -> str:
    """One line of authorized_keys: from these addresses only, the key runs only the gate."""
    match = KEY.match(public.strip())
    if match is None:
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
    if '"' in command or "\\" in command:
        raise FleetError(
            f"cannot use {command!r} in authorized_keys", "it contains a quote or a backslash"
        )
    options = f'restrict,from="{",".join(sources)}",command="{command}"'
    return f"{options} {match.group(0)} {comment(fleet, mode)}"


def merged(text: str, fleet: str, lines: list[str]) -> str:
    """authorized_keys with `lines` in place of the fleet's own; all others stay as they are."""
    ours = tuple(f" {comment(fleet, mode)}" for mode in MODES)
    kept = [line for line in text.splitlines() if not line.rstrip().endswith(ours)]
    return "".join(f"{line}\n" for line in [*kept, *lines])


def host_keys(folder: Path) -> list[str]:
    """This host's public keys, `type base64` each, by the names of their files."""
    found = []
    for path in sorted(folder.glob("ssh_host_*_key.pub")):
        match = KEY.match(path.read_text(encoding="utf-8").strip())
        if match is not None:
            found.append(match.group(0))
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
        if re.search(r"[\s,*?!|@]", name):
            raise FleetError(
                f"cannot keep the SSH keys of {address!r}", "it is not a plain address"
            )
        keys = host["keys"]
        assert isinstance(keys, list)
        what = f"cannot keep the SSH keys of {address!r}"
        lines |= {f"{name} {checked_host_key(key, what)}" for key in keys}
    return "".join(f"{line}\n" for line in sorted(lines))

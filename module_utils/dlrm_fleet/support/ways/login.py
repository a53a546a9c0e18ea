"""Why a login or root's rights are refused, from what ssh, sudo or Python said. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from ...base.errors import FleetError

# RFC 5737: addresses of examples, which no machine has.
EXAMPLES = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]
MADE_UP = "It is an address of examples, which no machine has: put your own machines in"


class Reason(NamedTuple):
    """{host} and {user} are filled in."""

    pattern: str
    why: str
    todo: str


SSH = (
    Reason(
        r"Could not resolve hostname|Name or service not known|Temporary failure in name",
        "the name {address} does not resolve",
        "Set ansible_host of {host} to its address in the inventory, or mend its name",
    ),
    Reason(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|No \S+ host key is"
        r" known",
        "its SSH host key is not the known one, or is not known at all",
        "Take its key from a trusted place into known_hosts, then say ssh {user}@{address}",
    ),
    Reason(
        r"UNPROTECTED PRIVATE KEY|bad permissions",
        "ssh does not use a private key that others may read",
        "Say chmod 600 for the key's file",
    ),
    Reason(
        r"Identity file \S+ not accessible|no such identity",
        "the private key's file is not there",
        "Name an existing file: ansible_ssh_private_key_file, or dlrm_storage_key_file",
    ),
    Reason(
        r"you must install the sshpass program",
        "a password is given, and the program sshpass, which types it, is missing",
        "Log in with a key, or install sshpass here",
    ),
    Reason(
        r"Too many authentication failures",
        "the SSH agent offered too many keys",
        "Name the one key: ansible_ssh_private_key_file, with -o IdentitiesOnly=yes",
    ),
    Reason(
        r"Permission denied|[Ii]nvalid/incorrect password",
        "it does not let user {user} in with this key",
        "Put the public key into ~{user}/.ssh/authorized_keys there, or correct ansible_user",
    ),
    Reason(
        r"Connection refused",
        "nothing listens at its SSH port",
        "Start sshd there, or set ansible_port",
    ),
    Reason(
        r"timed out|[Tt]imeout|did not end within",
        "nothing answers at {address}: the machine is off, or a firewall drops what is sent",
        "Start the machine, or let this connection through",
    ),
    Reason(
        r"No route to host|Network is unreachable",
        "there is no route to {address}",
        "Correct the address, or connect the networks",
    ),
    Reason(
        r"closed by remote host|kex_exchange|Connection closed|Connection reset",
        "sshd closes the connection before the login",
        "Look into its log: MaxStartups, AllowUsers, fail2ban or hosts.deny may refuse",
    ),
)
ROOT = (
    Reason(
        r"must have a tty|a terminal is required|no tty present",
        "sudo wants a terminal, which a connection of Ansible does not have",
        "Add 'Defaults:{user} !requiretty' to a file in /etc/sudoers.d of {host}",
    ),
    Reason(
        r"password is required|Missing sudo password|[Ii]ncorrect sudo password|privilege"
        r" escalation prompt|password was provided",
        "sudo wants a password of user {user}",
        "Add '{user} ALL=(ALL) NOPASSWD: ALL' to a file in /etc/sudoers.d of {host}, or give"
        " --ask-become-pass",
    ),
    Reason(
        r"not in the sudoers|is not allowed to (execute|run)|may not run",
        "user {user} may not become root",
        "Add '{user} ALL=(ALL) NOPASSWD: ALL' to a file in /etc/sudoers.d of {host}",
    ),
    Reason(
        r"sudo: (command )?not found|sudo: No such file|unable to find.*sudo",
        "there is no sudo",
        "Install it, log in as root, or set ansible_become_method",
    ),
    Reason(
        r"sudo: .*(owned by|parse error|syntax error)",
        "the configuration of sudo is broken",
        "Log in as root and say visudo -c",
    ),
)
PYTHON = (
    Reason(
        r"interpreter .*not found|python3?\S*: (command )?not found|No python interpreters found"
        r"|python3?\S*: No such file",
        "there is no Python",
        "Install python3, or set ansible_python_interpreter",
    ),
    Reason(
        r"minimum of Python version|SyntaxError|No module named '?(ansible|typing|__future__)",
        "its Python is too old",
        "Install Python 3.9 or newer, and set ansible_python_interpreter",
    ),
    Reason(r"No space left on device", "its disk is full", "Free some space there"),
)
KINDS = {"connection": SSH, "become": (*ROOT, *PYTHON)}


def refusal(kind: str, said: str, host: str, user: str = "", address: str = "") -> FleetError:
    """Why `host` did not answer as `kind` of step, from the words of ssh, sudo or Python."""
    names = {"host": host, "user": user or "the login user", "address": address or host}
    for pattern, why, todo in KINDS[kind]:
        if re.search(pattern, said):
            why, todo = why.format(**names), todo.format(**names)
            if kind == "connection" and is_example(names["address"]):
                todo = f"{MADE_UP} the inventory's hosts.yml"
            return FleetError(host, why, todo)
    return FleetError(host, _first_line(said), f"Try it by hand: ssh {address or host}")


def is_example(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in net for net in EXAMPLES)


def _first_line(said: str) -> str:
    """The last line with words: programs say their reason last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"

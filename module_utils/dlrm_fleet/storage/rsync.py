"""The rsync command of a transfer, and its failures in words."""

from __future__ import annotations

import re
import shlex
from typing import Any

from ..base.errors import FleetError
from .host.gate import PATH

# --append: the partial file is named by the content's sha256, so what it holds is a beginning of
#   the content; it is written in place and only the rest travels. The whole is hashed afterwards:
#   --append-verify's second reading on both sides would buy nothing.
# --copy-links: a seed's name is a link. No -z: the files are floating point numbers. --timeout: a
#   dead link ends within minutes. --no-protect-args: paths stand in the command, where the host's
#   gate judges each (gate.py); only paths that mean nothing to a shell are sent.
COMMON = ["--copy-links", "--no-protect-args", "--no-perms", "--no-times", "--timeout=120"]
OPTIONS = ["--append", *COMMON]
# --relative: many stage.json keep their folders. --no-implied-dirs: /srv may be a link.
MANY = ["--relative", "--no-implied-dirs", *COMMON]
NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._:%-]*$")
JUMP = re.compile(r"^([A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9_][A-Za-z0-9._-]*)(?::([0-9]{1,5}))?$")
# rsync(1), EXIT VALUES.
EXIT_VALUES = {
    5: "the other side could not start the transfer",
    10: "the connection failed",
    11: "a file could not be read or written",
    12: "the connection ended while data was sent",
    20: "it was interrupted",
    23: "a file could not be read",
    24: "the file vanished while it was read",
    30: "nothing arrived for 120 s",
    255: "the SSH connection could not be made",
}


# How a module's argument names the other machine; reach() reads it.
SSH_OPTIONS: dict[str, Any] = {
    "address": {"type": "str"},
    "user": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "key_file": {"type": "path", "no_log": False},
    "fleet_dir": {"type": "path"},
    "known_hosts_file": {"type": "path"},
    "jump": {"type": "str"},
}


def reach(options: dict[str, Any] | None, mode: str) -> dict[str, Any] | None:
    """What ssh needs to reach the host with the key of this mode; None: it is this machine.

    A key_file is used for both modes. Without one it is the fleet's key of this mode in fleet_dir,
    with the host keys that lie beside it.
    """
    if not options or not options["address"]:
        return None
    given = {name: value for name, value in options.items() if value and name != "fleet_dir"}
    if "key_file" in given:
        return given
    folder = options["fleet_dir"]
    if not folder:
        raise FleetError(
            f"cannot reach {options['address']!r}", "neither key_file nor fleet_dir is set"
        )
    fleet = {"key_file": f"{folder}/{mode}", "known_hosts_file": f"{folder}/known_hosts"}
    return {**fleet, **given}


def ssh_words(source: dict[str, Any]) -> list[str]:
    """Host keys are always checked: an unknown host is refused, never learnt."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    options += ["ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
    # An agent's or a config's other key must not open what the fleet's own key does not.
    options += ["IdentityAgent=none", "ControlPath=none"]
    # Servers' CPUs have AES instructions: several times chacha20's speed, ssh's first choice.
    options.append("Ciphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com")
    if source.get("known_hosts_file"):
        options.append(f"UserKnownHostsFile={source['known_hosts_file']}")
    if source.get("jump"):
        options.append(f"ProxyCommand={_proxy(source)}")
    command = ["ssh", "-i", str(source["key_file"]), "-p", str(int(source.get("port") or 22))]
    for option in options:
        command += ["-o", option]
    return command


def ssh_command(source: dict[str, Any]) -> str:
    return " ".join(shlex.quote(part) for part in ssh_words(source))


def _proxy(source: dict[str, Any]) -> str:
    """What ProxyJump does, with the fleet's key and known_hosts for the bastion, too."""
    jump = JUMP.match(str(source["jump"]))
    if jump is None:
        raise FleetError(
            f"cannot go through {source['jump']!r}", "wanted user@host or user@host:port"
        )
    bastion = {**source, "jump": None, "port": jump.group(2) or 22}
    # ssh fills %h and %p in.
    return f"{ssh_command(bastion)} -W [%h]:%p {jump.group(1)}"


def remote_name(source: dict[str, Any]) -> str:
    """user@address, both checked: neither can be taken for an option."""
    for name in ("user", "address"):
        if not NAME.match(str(source.get(name) or "")):
            raise FleetError(
                "cannot reach a host", f"{name} {source.get(name)!r} is not a valid name"
            )
    return f"{source['user']}@{source['address']}"


def _remote(source: dict[str, Any], path: str) -> str:
    name = remote_name(source)
    if not PATH.match(path):
        raise FleetError(
            f"cannot transfer {path!r}", "letters, digits and _./:+@=,%- are allowed in a path"
        )
    user, _, address = name.partition("@")
    return f"{user}@[{address}]:{path}" if ":" in address else f"{name}:{path}"


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise FleetError(f"cannot fetch {path!r}", "an absolute path is wanted")
    return path


def copy_command(source: dict[str, Any] | None, path: str, target: str) -> list[str]:
    """rsync path of the host (source None: of this machine) into the file target."""
    _absolute(path)
    if source is None:
        return ["rsync", *OPTIONS, "--", path, target]
    return ["rsync", *OPTIONS, "-e", ssh_command(source), "--", _remote(source, path), target]


def copy_many_command(source: dict[str, Any] | None, paths: list[str], folder: str) -> list[str]:
    """All paths in one rsync, each below folder under its own absolute path."""
    wanted = [f"/.{_absolute(path)}" for path in paths]
    if source is None:
        return ["rsync", *MANY, "--", *wanted, f"{folder}/"]
    first, *others = wanted
    remote = [_remote(source, first), *(_remote(source, path) for path in others)]
    return ["rsync", *MANY, "-e", ssh_command(source), "--", *remote, f"{folder}/"]


def push_command(source: dict[str, Any] | None, paths: list[str], root: str) -> list[str]:
    """Files of this machine into <root>/incoming of the host, under their own last names."""
    target = f"{_absolute(root)}/incoming/"
    # The store's files are read-only; a cut transfer could not be appended to.
    options = [*OPTIONS, "--chmod=F0644"]
    if source is None:
        return ["rsync", *options, "--", *paths, target]
    return ["rsync", *options, "-e", ssh_command(source), "--", *paths, _remote(source, target)]


def worded_failure(
    source: dict[str, Any] | None,
    path: str,
    root: str,
    rc: int,
    stderr: str,
    sending: bool = False,
) -> FleetError:
    """`root`: the folder that is written to; `sending`: it is the host's, else the node's."""
    where = "this machine" if source is None else f"{source['user']}@{source['address']}"
    what = f"cannot {'send' if sending else 'fetch'} {path!r} {'to' if sending else 'from'} {where}"
    full, setting = ("host", "dlrm_host_root") if sending else ("storage node", "dlrm_storage_root")
    if "dlrm-fleet: refused" in stderr:
        said = next(line for line in stderr.splitlines() if "dlrm-fleet: refused" in line)
        return FleetError(what, f"the host's gate says {said!r}", "Look at dlrm_host_root there")
    if "No space left on device" in stderr:
        todo = f"Free some, or set {setting} to a larger disk; the transfer then goes on"
        return FleetError(what, f"the disk of {root!r} on the {full} is full", todo)
    if "Host key verification failed" in stderr:
        todo = "Add its key from a trusted place to the storage node's known_hosts"
        return FleetError(what, "the storage node does not know its host key", todo)
    if "Permission denied (publickey" in stderr:
        todo = "Let the storage node's key in, or give another as key_file"
        return FleetError(what, "the SSH key was refused", todo)
    if rc == 23 and "Permission denied (13)" in stderr:
        todo = "Let that user read it; the host's folders must be readable below dlrm_host_root"
        return FleetError(what, "its login user may not read the file", todo)
    if rc == 23 and "No such file or directory (2)" in stderr:
        return FleetError(what, "there is no such file any more", "Run again, it is made anew")
    if rc == 127 or "rsync: command not found" in stderr or "rsync: not found" in stderr:
        return FleetError(what, "rsync is missing there", "Install rsync on both machines")
    last = stderr.strip().splitlines()[0] if stderr.strip() else "it says nothing"
    why = f"rsync ended with {rc} ({EXIT_VALUES.get(rc, 'see rsync(1)')}): {last}"
    return FleetError(what, why, "Run again: the transfer goes on where it ended")

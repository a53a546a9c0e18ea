"""The rsync command of a transfer, and the messages of its failures."""

from __future__ import annotations

import re
import shlex
from typing import Any

from ..base.errors import FleetError
from ..wire.ssh_names import LOGIN, checked_address, checked_login
from .host.gate import PATH

# --append: the partial file is named by its content's sha256, so it holds a beginning of that
#   content. rsync writes it in place and sends only the rest. We hash the whole file, so
#   --append-verify, which reads it once more on both sides, would gain nothing.
# --copy-links: a published file name is a link. No -z: the files are floating point numbers.
#   --timeout: a dead connection ends within minutes. --no-protect-args: paths stand in the
#   command, where the host's gate checks each (gate.py); PATH admits none that a shell changes.
COMMON = ["--copy-links", "--no-protect-args", "--no-perms", "--no-times", "--timeout=120"]
OPTIONS = ["--append", *COMMON]
# --relative: many stage.json keep their folders. --no-implied-dirs: /srv may be a link.
MANY = ["--relative", "--no-implied-dirs", *COMMON]
# The last '@' ends the user: a directory's users contain one.
JUMP = re.compile(rf"({LOGIN.pattern})@([A-Za-z0-9_][A-Za-z0-9._-]*)(?::([0-9]{{1,5}}))?")
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


# The suboptions by which a module names the other machine; reach() reads them.
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
    """What ssh needs to reach the host with this mode's key. None: the host is this machine.

    A key_file serves both modes. Without one, the fleet's key of this mode in fleet_dir is used,
    with the known_hosts beside it. Raises FleetError if neither is set, and for a user or an
    address that is missing or no plain name.
    """
    if not options or not options["address"]:
        return None
    what = f"cannot reach {options['address']!r}"
    checked_address(options["address"], "cannot reach a host")
    checked_login(options["user"], what)
    given = {name: value for name, value in options.items() if value and name != "fleet_dir"}
    if "key_file" in given:
        return given
    folder = options["fleet_dir"]
    if not folder:
        raise FleetError(what, "neither key_file nor fleet_dir is set")
    fleet = {"key_file": f"{folder}/{mode}", "known_hosts_file": f"{folder}/known_hosts"}
    return {**fleet, **given}


def ssh_words(source: dict[str, Any]) -> list[str]:
    """The ssh command with its user, without its host (remote_name).

    An unknown host key is refused, never added.
    """
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    options += ["ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
    # No key of an agent or of ssh's configuration: it might open more than the fleet's own key.
    options += ["IdentityAgent=none", "ControlPath=none"]
    # With a server CPU's AES instructions these are several times faster than ssh's first choice.
    options.append("Ciphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com")
    if source.get("known_hosts_file"):
        options.append(f"UserKnownHostsFile={source['known_hosts_file']}")
    if source.get("jump"):
        options.append(f"ProxyCommand={_proxy(source)}")
    command = ["ssh", "-i", str(source["key_file"]), "-p", str(int(source.get("port") or 22))]
    # Not as user@host: a directory's user contains an '@' itself.
    command += ["-l", checked_login(source.get("user"), "cannot reach a host")]
    for option in options:
        command += ["-o", option]
    return command


def ssh_command(source: dict[str, Any]) -> str:
    return " ".join(shlex.quote(part) for part in ssh_words(source))


def _proxy(source: dict[str, Any]) -> str:
    """As ProxyJump, but with the fleet's key and known_hosts for the bastion, too."""
    jump = JUMP.fullmatch(str(source["jump"]))
    if jump is None:
        raise FleetError(
            f"cannot use the bastion {source['jump']!r}", "wanted user@host or user@host:port"
        )
    user, host, port = jump.groups()
    bastion = {**source, "jump": None, "user": user, "port": port or 22}
    # ssh fills %h and %p in.
    return f"{ssh_command(bastion)} -W [%h]:%p {host}"


def remote_name(source: dict[str, Any]) -> str:
    """The host as ssh gets it. Raises FleetError for a name that ssh could take for an option."""
    return checked_address(source.get("address"), "cannot reach a host")


def _remote(source: dict[str, Any], path: str) -> str:
    address = remote_name(source)
    if not PATH.fullmatch(path):
        raise FleetError(
            f"cannot transfer {path!r}", "a path may contain only letters, digits and _./:+@=,%-"
        )
    return f"[{address}]:{path}" if ":" in address else f"{address}:{path}"


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise FleetError(f"cannot fetch {path!r}", "the path must be absolute")
    return path


def copy_command(source: dict[str, Any] | None, path: str, target: str) -> list[str]:
    """Copies the host's path into the file target. source None: the path is on this machine."""
    _absolute(path)
    if source is None:
        return ["rsync", *OPTIONS, "--", path, target]
    return ["rsync", *OPTIONS, "-e", ssh_command(source), "--", _remote(source, path), target]


def copy_many_command(source: dict[str, Any] | None, paths: list[str], folder: str) -> list[str]:
    """Copies all paths in one rsync, each below folder under its own absolute path."""
    wanted = [f"/.{_absolute(path)}" for path in paths]
    if source is None:
        return ["rsync", *MANY, "--", *wanted, f"{folder}/"]
    first, *others = wanted
    remote = [_remote(source, first), *(_remote(source, path) for path in others)]
    return ["rsync", *MANY, "-e", ssh_command(source), "--", *remote, f"{folder}/"]


def push_command(source: dict[str, Any] | None, paths: list[str], root: str) -> list[str]:
    """Copies files of this machine into <root>/incoming of the host, under their own names."""
    target = f"{_absolute(root)}/incoming/"
    # The store's files are read-only: rsync could not append to one after a cut transfer.
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
    """rsync's failure. `root`: the folder it writes to, on the host if `sending`, else the node."""
    where = "this machine" if source is None else f"{source['user']}@{source['address']}"
    what = f"cannot {'send' if sending else 'fetch'} {path!r} {'to' if sending else 'from'} {where}"
    full, setting = ("host", "dlrm_host_root") if sending else ("storage node", "dlrm_storage_root")
    if "dlrm-fleet: refused" in stderr:
        said = next(line for line in stderr.splitlines() if "dlrm-fleet: refused" in line)
        return FleetError(what, f"the host answered {said!r}", "Check dlrm_host_root of that host")
    if "No space left on device" in stderr:
        todo = f"Free some space, or set {setting} to a larger disk; the transfer then goes on"
        return FleetError(what, f"the disk of {root!r} on the {full} is full", todo)
    if "Host key verification failed" in stderr:
        todo = "Add its key from a trusted place to the storage node's known_hosts"
        return FleetError(what, "the storage node does not know that host's SSH key", todo)
    if "Permission denied (publickey" in stderr:
        todo = "Allow the storage node's key on the host, or set key_file to another"
        return FleetError(what, "the SSH key was refused", todo)
    if rc == 23 and "Permission denied (13)" in stderr:
        todo = "Let that user read it; the host's folders must be readable below dlrm_host_root"
        return FleetError(what, "the login user may not read the file", todo)
    if rc == 23 and "No such file or directory (2)" in stderr:
        return FleetError(what, "there is no such file any more", "Run again: it is made anew")
    if rc == 127 or "rsync: command not found" in stderr or "rsync: not found" in stderr:
        return FleetError(what, "rsync is missing there", "Install rsync on both machines")
    last = stderr.strip().splitlines()[0] if stderr.strip() else "it says nothing"
    why = f"rsync ended with {rc} ({EXIT_VALUES.get(rc, 'see rsync(1)')}): {last}"
    return FleetError(what, why, "Run again: the transfer goes on where it ended")

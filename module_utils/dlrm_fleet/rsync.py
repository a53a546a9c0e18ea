"""The rsync command of a transfer, and its failures in words."""

from __future__ import annotations

import re
import shlex
from typing import Any

from .documents import FleetError

# --append: the partial file is named by the content's sha256, so what it holds is a beginning of
#   the content; it is written in place and only the rest travels. The whole is hashed afterwards:
#   --append-verify's second reading on both sides would buy nothing.
# --copy-links: a seed's name is a link. --protect-args: a name is never a shell's. No -z: the
#   files are floating point numbers. --timeout: a dead link ends within minutes.
OPTIONS = [
    "--append",
    "--copy-links",
    "--protect-args",
    "--no-perms",
    "--no-times",
    "--timeout=120",
]
NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._:%-]*$")
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


def ssh_command(source: dict[str, Any]) -> str:
    """Host keys are always checked: an unknown host is refused, never learnt."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    options += ["ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"]
    if source.get("known_hosts_file"):
        options.append(f"UserKnownHostsFile={source['known_hosts_file']}")
    command = ["ssh", "-i", str(source["key_file"]), "-p", str(int(source.get("port") or 22))]
    for option in options:
        command += ["-o", option]
    return " ".join(shlex.quote(part) for part in command)


def copy_command(source: dict[str, Any] | None, path: str, target: str) -> list[str]:
    """rsync path of the host (source None: of this machine) into the file target."""
    if not path.startswith("/"):
        raise FleetError(f"cannot fetch {path!r}", "an absolute path is wanted")
    if source is None:
        return ["rsync", *OPTIONS, "--", path, target]
    for name in ("user", "address"):
        if not NAME.match(str(source.get(name) or "")):
            raise FleetError(
                f"cannot fetch {path!r}", f"{name} {source.get(name)!r} is not a valid name"
            )
    address = str(source["address"])
    address = f"[{address}]" if ":" in address else address
    remote = f"{source['user']}@{address}:{path}"
    return ["rsync", *OPTIONS, "-e", ssh_command(source), "--", remote, target]


def worded_failure(
    source: dict[str, Any] | None, path: str, root: str, rc: int, stderr: str
) -> FleetError:
    where = "this machine" if source is None else f"{source['user']}@{source['address']}"
    what = f"cannot fetch {path!r} from {where}"
    if "No space left on device" in stderr:
        todo = "Free some, or set dlrm_storage_root to a larger disk; the transfer then goes on"
        return FleetError(what, f"the disk of {root!r} on the storage node is full", todo)
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

"""The ways that start at the storage node: to each host with both keys, and to its own disk.

With the fleet's keys, the gate (host/gate.py) is asked a question that it does not know. Its
refusal shows that the key is let in, and that it opens nothing but the gate. A user's own key has
no gate.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...base.commands import run_bounded
from ...base.errors import FleetError
from ...base.wording import number
from ...support.ways.login import refusal
from ...support.ways.trying import SLOW, Hint, Skip, Trial, try_all
from ...wire.ways import Way
from ..host.gate import MODES
from ..rsync import reach, remote_name, ssh_words
from .own_key import readable

# One connection; less than a way may take in all.
SECONDS = 4.5
CONNECT_SECONDS = 4
MOST_SAID = 64 * 1024
# So many connections at once: each costs some processor time on both sides.
AT_ONCE = 16
# A record and its run files have a few MiB.
LEAST_BYTES = 8 * 1024**2
QUESTION = "dlrm-fleet way"
REFUSED = "dlrm-fleet: refused"
PLACED = "; a run puts the key there"


def try_ways(name: str, root: Path, hosts: dict[str, dict[str, Any]]) -> list[Way]:
    """`hosts`: by name, the options of SSH_OPTIONS; `name`: the storage node's."""
    trials = [Trial(Way("storage disk", name, str(root)), partial(_disk, root))]
    for host, source in hosts.items():
        trials += of_host(name, root, host, source or {})
    found: list[Way] = []
    for start in range(0, len(trials), AT_ONCE):
        found += try_all(trials[start : start + AT_ONCE])
    return found


def of_host(name: str, root: Path, to: str, source: dict[str, Any]) -> Iterator[Trial]:
    if not source.get("address"):
        way = Way("storage to host", name, to)
        yield Trial(way, partial(_skip, "both are one machine: files are copied"))
    elif source.get("key_file"):
        yield Trial(Way("your own key", name, to), partial(_own_key, root, source))
    else:
        for mode in MODES:
            yield Trial(Way(f"{mode} key", name, to), partial(_fleet_key, source, mode))


def _disk(root: Path) -> str:
    where = root
    while not where.exists():
        where = where.parent
    found = os.statvfs(where)
    free = found.f_bavail * found.f_frsize
    if free < LEAST_BYTES:
        todo = "Free some, or set dlrm_storage_root to a larger disk"
        raise FleetError("the storage node", f"{number(free, 'bytes')} are free", todo)
    return f"{number(free, 'bytes')} are free"


def _own_key(root: Path, given: dict[str, Any]) -> str:
    source = readable(root, reach(given, "read"))
    assert source is not None
    if not Path(source["key_file"]).is_file():
        why = f"there is no file {source['key_file']!r} on the storage node"
        raise FleetError("your own key", why, "Put the private key there, or leave it out")
    rc, _said, err = _ask(source, "true")
    if rc == 255:
        raise _refusal(source, err)
    return "it lets the storage node in"


def _fleet_key(given: dict[str, Any], mode: str) -> str:
    source = reach(given, mode)
    assert source is not None
    if not Path(source["key_file"]).is_file():
        _listens(source)
        raise Skip("sshd answers there; a run makes the key and puts it there")
    rc, _said, err = _ask(source, QUESTION)
    if REFUSED in err:
        return "it opens the gate, and nothing else"
    if rc == 127 or rc == 0:
        why = "the key opens a shell: its line in authorized_keys names no forced command"
        raise FleetError(mode, why, "Remove that line; a run writes its own")
    if rc != 255:
        why = f"the program behind the key ended with {rc}: {err.strip()[-200:] or 'no word'}"
        raise Hint(mode, why, "A run installs that program anew")
    refused = _refusal(source, err)
    # What a run puts right by itself, before it needs the key.
    if re.search(r"Permission denied|Host key verification failed|host key is known", err):
        raise Hint(mode, f"{refused.why}{PLACED}", refused.todo)
    raise refused


def _ask(source: dict[str, Any], command: str) -> tuple[int, bytes, str]:
    # Of two values of an option, ssh takes the first.
    _ssh, *words = ssh_words(source)
    asked = ["ssh", "-o", f"ConnectTimeout={CONNECT_SECONDS}", *words, remote_name(source), command]
    try:
        return run_bounded(asked, SECONDS, MOST_SAID)
    except FleetError as error:
        raise Hint(error.what, error.why, SLOW) from None
    except FileNotFoundError:
        raise Skip("there is no ssh on the storage node yet: a run installs it") from None


def _listens(source: dict[str, Any]) -> None:
    """Whether sshd answers, without a key. Through a bastion, only ssh itself could ask."""
    if source.get("jump"):
        return
    place = (remote_name(source), int(source.get("port") or 22))
    try:
        with socket.create_connection(place, CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            said = connection.recv(64)
    except OSError as error:
        # ssh's words for the same.
        timed_out = isinstance(error, (TimeoutError, socket.timeout))
        raise _refusal(source, "timed out" if timed_out else str(error)) from None
    if not said.startswith(b"SSH-"):
        raise _refusal(source, "Connection closed by remote host")


def _refusal(source: dict[str, Any], said: str) -> FleetError:
    address, user = str(source["address"]), str(source.get("user") or "")
    return refusal("connection", said, address, user, address)


def _skip(why: str) -> str:
    raise Skip(why)

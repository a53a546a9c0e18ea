"""The program that storage nodes and hosts keep: `gate` on a host, `visit` on the storage node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from ..base.errors import FleetError

SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
USAGE = "usage: gate read|write ROOT (from authorized_keys), or visit STORAGE_ROOT [HOSTS_AT_ONCE]"
HOSTS_AT_ONCE = "4"


def main(arguments: list[str]) -> int:
    """The exit code. 0: done; 1: a visit failed; 2: usage; 77: refused (EX_NOPERM, sysexits.h)."""
    os.environ["PATH"] = SAFE_PATH
    if len(arguments) == 3 and arguments[0] == "gate":
        return _gate(arguments[1], arguments[2])
    if len(arguments) in (2, 3) and arguments[0] == "visit":
        at_once = (*arguments, HOSTS_AT_ONCE)[2]
        if at_once.isdecimal():
            return _visit(Path(arguments[1]), int(at_once))
    sys.stderr.write(USAGE + "\n")
    return 2


def _gate(mode: str, root: str) -> int:
    # Import little: sshd starts this per connection, and Python compiles each import from the zip.
    from .host.gate import allowed, opened

    try:
        words = allowed(os.environ.get("SSH_ORIGINAL_COMMAND", ""), mode, root)
        if words[0] == "rsync":
            with opened(words, mode, root) as held:
                return subprocess.run(held, close_fds=False, check=False).returncode
        from .host.answer import answer

        sys.stdout.write(json.dumps(answer(Path(root), words[2])) + "\n")
    except (FleetError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 77
    return 0


def _visit(storage_root: Path, at_once: int) -> int:
    from ..base.as_owner import become_owner
    from .node.transfer import run_transfer
    from .node.visit import visit_all

    # Units and lines of cron that an older release made start this as root.
    become_owner(storage_root)
    # Ended, it ends the processes of the hosts, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    failed = False
    for line, good in visit_all(storage_root, run_transfer, at_once):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        failed = failed or not good
    return 1 if failed else 0

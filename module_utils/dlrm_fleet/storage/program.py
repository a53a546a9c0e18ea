"""The program that storage nodes and hosts keep: `gate` on a host, `visit` on the storage node."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ..base.errors import FleetError

SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
USAGE = "usage: gate read|write ROOT (from authorized_keys), or visit STORAGE_ROOT"


def main(arguments: list[str]) -> int:
    """Exit code 0; 1: a visit failed; 2: wrong use; 77: refused (EX_NOPERM, sysexits.h)."""
    os.environ["PATH"] = SAFE_PATH
    if len(arguments) == 3 and arguments[0] == "gate":
        return _gate(arguments[1], arguments[2])
    if len(arguments) == 2 and arguments[0] == "visit":
        return _visit(Path(arguments[1]))
    sys.stderr.write(USAGE + "\n")
    return 2


def _gate(mode: str, root: str) -> int:
    # sshd starts this for every connection, and Python compiles each import anew from the zip.
    from .host.gate import allowed

    try:
        words = allowed(os.environ.get("SSH_ORIGINAL_COMMAND", ""), mode, root)
        if words[0] == "rsync":
            sys.stdout.flush()
            os.execvp("rsync", words)
        from .host.answer import answer

        sys.stdout.write(json.dumps(answer(Path(root), words[2])) + "\n")
    except (FleetError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 77
    return 0


def _visit(storage_root: Path) -> int:
    from ..base.commands import run_command
    from .node.visit import visit_all

    failed = False
    for line, good in visit_all(storage_root, run_command):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        failed = failed or not good
    return 1 if failed else 0

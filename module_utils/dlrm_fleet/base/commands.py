"""Commands of this machine: run to their end, without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

# Runs a command: (exit status, stdout, stderr). AnsibleModule.run_command is one, too.
Runner = Callable[[list[str]], "tuple[int, str, str]"]


def run_command(command: list[str]) -> tuple[int, str, str]:
    """(rc, stdout, stderr). What is inheritable is inherited: a lock lives as long as its rsync."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            close_fds=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return 127, "", f"{command[0]}: not found"
    return done.returncode, done.stdout, done.stderr

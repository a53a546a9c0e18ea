"""A storage node whose program visits hosts of a test's making, with an ssh of this file's making.

Good hosts answer through the gate.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_run import CATALOGUE, IMAGE, REPOSITORY, RUN_ID, make_root, request
from module_runner import run_module

import dlrm_storage_program

GOOD = ("y-good", "z-good")
# Its first argument is the packed program, of any release. Hosts whose names begin with "a-" are
# waited for no longer than this, so that nobody waits; the good ones have all the time they need.
SHORT_SECONDS = 4.0
VISIT = """
import sys
sys.path.insert(0, sys.argv[1])
def shortened(bounded, at):
    def run(command, *rest):
        rest = list(rest)
        if any(word.startswith("a-") for word in command):
            rest[at] = float(sys.argv[4])
        return bounded(command, *rest)
    return run
try:
    from dlrm_fleet.storage import program
    from dlrm_fleet.storage.node import transfer, visit
    visit.run_bounded = shortened(visit.run_bounded, 0)
    transfer.run_while_growing = shortened(transfer.run_while_growing, 1)
except ImportError:
    from dlrm_fleet import storage_program as program
program.SAFE_PATH = sys.argv[2]
sys.exit(program.main(["visit", sys.argv[3]]))
"""
# All options of our ssh have one value each. rsync names the user with -l.
SSH = """#!/bin/bash
while [[ $1 == -* ]]; do shift 2; done
host=${{1#*@}}; shift
export SSH_ORIGINAL_COMMAND="$*"
gate() {{ {python} -I {program} gate read "{hosts}/$host"; }}
trickle() {{ while IFS= read -r -n1 byte; do printf %s "$byte"; sleep 1; done; }}
[[ -f "{hosts}/$host.sh" ]] || exec {python} -I {program} gate read "{hosts}/$host"
. "{hosts}/$host.sh"
"""
# A round that has not ended by then does not end.
PATIENCE_SECONDS = 240
MEMORY_BYTES = 3 * 1024**3


class Node:
    """A storage node's root and the hosts it has to visit."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = folder / "storage"
        self.hosts = folder / "hosts"
        self.program = folder / "storage.pyz"
        package = REPOSITORY / "module_utils" / "dlrm_fleet"
        run_module(dlrm_storage_program, capsys, package=str(package), dest=str(self.program))
        self.hosts.mkdir()
        self.programs = folder / "bin"
        self.programs.mkdir()
        ssh = self.programs / "ssh"
        names = {"python": sys.executable, "program": self.program, "hosts": self.hosts}
        ssh.write_text(SSH.format(**names))
        ssh.chmod(0o755)
        for name in GOOD:
            self.has_a_run(name)

    def announce(self, name: str) -> None:
        """As module dlrm_spool does when a run opens."""
        path = self.root / "spool" / RUN_ID / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "host": name,
            "source": {"address": name, "user": "u", "port": 22, "key_file": "/dev/null"},
            "host_root": str(self.hosts / name),
            "request": request(),
            "request_sha256": "a" * 64,
            "controller": "x@y",
            "opened_at": "2026-01-31T12:00:00Z",
            "image": {"name": IMAGE, "id": "i"},
            "streams": 2,
        }
        path.write_text(json.dumps(entry))

    def has_a_run(self, name: str) -> None:
        """A host with a finished run, whose controller is gone."""
        root = self.hosts / name
        make_root(root)
        run = root / "runs" / RUN_ID
        run.mkdir(parents=True)
        asked = {"catalogue": CATALOGUE, "request": request(), "image": {"name": IMAGE, "id": "i"}}
        (run / "collect.json").write_text(json.dumps({"schema_version": 1, **asked}))
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
        lock = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "request_sha256": "a" * 64,
            "controller": {"id": "x@y", "machine_id": "x", "pid": 1, "pid_started": 1},
            "opened_at": "2026-01-31T12:00:00Z",
            "deadline": moment,
            "lease_until": moment,
        }
        (run / "run.lock").write_text(json.dumps(lock))
        self.announce(name)

    def has_a_liar(self, name: str, script: str) -> None:
        """A host that runs this for whatever the storage node asks."""
        (self.hosts / f"{name}.sh").write_text(script)
        self.announce(name)

    def visit(self) -> tuple[list[str], str]:
        """(the lines it printed, what it wrote to stderr)."""
        path = f"{self.programs}:{os.environ['PATH']}"
        words = [sys.executable, "-c", VISIT, str(self.program), path, str(self.root)]
        words.append(str(SHORT_SECONDS))
        with subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            # An endless host must not take this machine's memory.
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            try:
                out, err = process.communicate(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
        return out.decode(errors="surrogateescape").split("\n")[:-1], err.decode(errors="replace")

    def record(self, name: str) -> dict[str, Any] | None:
        path = self.root / "runs" / RUN_ID / name / "run.json"
        return json.loads(path.read_text()) if path.exists() else None

    def not_served(self) -> list[str]:
        return [name for name in GOOD if self.record(name) is None]


def lines_of(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if line.startswith(f"{RUN_ID} {name}: ")]


def answering(text: str) -> str:
    return f"printf %s '{text}'"

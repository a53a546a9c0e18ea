"""A host that takes what it is sent a few bytes at a time is left, and the next host is served."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

# Its first argument is the folder of tests. The time is short, so that nobody waits.
PUSH = """
import json, sys
sys.path.insert(0, sys.argv[1])
import conftest
from ansible.module_utils.testing import patch_module_args
try:
    from ansible.module_utils.dlrm_fleet.storage.node import transfer
    transfer.LEAST_SECONDS = 4.0
except ImportError:
    pass
import dlrm_storage_push
with patch_module_args(json.load(sys.stdin)):
    dlrm_storage_push.main()
"""
SSH = """#!/bin/bash
while [[ $1 == -* ]]; do shift 2; done
host=$1; shift
[[ $host == slow ]] || exec "$@"
{python} {trickle} | "$@"
"""
# The beginning goes through at once.
TRICKLE = """
import os, time
first = 1024**2
while block := os.read(0, first or 1):
    os.write(1, block)
    if first:
        first = max(0, first - len(block))
    else:
        time.sleep(0.5)
"""
PATIENCE_SECONDS = 60
CONTENT = os.urandom(8 * 1024**2)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Node:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stored = folder / "storage/store/sha256" / SHA256[:2] / SHA256
        stored.parent.mkdir(parents=True)
        stored.write_bytes(CONTENT)
        programs = folder / "bin"
        programs.mkdir()
        (folder / "trickle.py").write_text(TRICKLE)
        ssh = programs / "ssh"
        ssh.write_text(SSH.format(python=sys.executable, trickle=folder / "trickle.py"))
        ssh.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def push(self, host: str) -> subprocess.Popen[str]:
        """The module as a process of its own. One host is served at a time."""
        (self.folder / host / "incoming").mkdir(parents=True)
        given = {
            "storage_root": str(self.folder / "storage"),
            "host": host,
            "host_root": str(self.folder / host),
            "files": {SHA256: len(CONTENT)},
            "transfers": 1,
            "target": {"address": host, "user": "u", "key_file": "/dev/null"},
        }
        process = subprocess.Popen(
            [sys.executable, "-c", PUSH, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        process.stdin = None
        return process

    def arrived(self, host: str) -> int:
        path = self.folder / host / "incoming" / SHA256
        return path.stat().st_size if path.exists() else 0


def answer(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """The module's; None if it waits for ever."""
    try:
        said: dict[str, Any] = json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0])
    except subprocess.TimeoutExpired:
        return None
    return said


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_host_that_trickles_is_left_and_the_next_one_is_served(node: Node) -> None:
    slow = node.push("slow")
    place = node.folder / "storage/incoming/.place.0.lock"
    while slow.poll() is None and not (place.exists() and node.arrived("slow")):
        with suppress(subprocess.TimeoutExpired):
            slow.wait(0.05)
    good = node.push("good")
    try:
        left, served = answer(slow), answer(good)
    finally:
        for process in (slow, good):
            process.kill()
            process.wait()
    assert left is not None, "the node waits for the slow host"
    assert "bytes arrived in 4 s" in left["msg"]
    assert served is not None
    assert (served["changed"], node.arrived("good")) == (True, len(CONTENT))
    # What has arrived stays; the next push goes on there.
    assert 0 < node.arrived("slow") < len(CONTENT)

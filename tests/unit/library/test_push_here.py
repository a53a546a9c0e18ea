"""A storage node that is a benchmark host, too, sends to itself: each side has its own user."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Users that exist on no machine.
NODE, HOST = 64001, 64002
CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PUSH = """
import json, sys
sys.path.insert(0, sys.argv[1])
import conftest
from ansible.module_utils.testing import patch_module_args
import dlrm_storage_push
with patch_module_args(json.load(sys.stdin)):
    dlrm_storage_push.main()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Folders that other users may enter, unlike those of pytest."""
    made = Path(tempfile.mkdtemp(prefix="dlrm-push-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def give(path: Path, user: int) -> None:
    for one in [path, *path.rglob("*")]:
        os.chown(one, user, user)


def push(folder: Path, **more: Any) -> dict[str, Any]:
    arguments = {
        "storage_root": str(folder / "storage"),
        "host": "arm-01",
        "host_root": str(folder / "host"),
        "files": {SHA256: len(CONTENT)},
        **more,
    }
    ended = subprocess.run(
        [sys.executable, "-c", PUSH, str(Path(__file__).parents[2])],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return said


def test_the_node_sends_to_a_host_on_its_own_machine(folder: Path) -> None:
    stored = folder / "storage/store/sha256" / SHA256[:2] / SHA256
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
    stored.chmod(0o444)
    give(folder / "storage", NODE)
    (folder / "host/incoming").mkdir(parents=True)
    give(folder / "host", HOST)
    answer = push(folder)
    assert not answer.get("failed"), answer
    arrived = folder / "host/incoming" / SHA256
    assert arrived.read_bytes() == CONTENT
    assert arrived.stat().st_uid == HOST
    assert [path.name for path in arrived.parent.iterdir()] == [SHA256]
    # A damaged file is moved aside by the storage root's owner.
    stored.chmod(0o644)
    stored.write_bytes(b"changed")
    refused = push(folder, refused=[SHA256])
    assert "it was moved aside" in refused["msg"]
    assert stored.with_name(f"{SHA256}.damaged").stat().st_uid == NODE

"""Hashing a file while it is written gives its sha256, whatever the writer does."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage import arriving as rules
from ansible.module_utils.dlrm_fleet.storage.arriving import ArrivingFile

WRITER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    for part in range(20):
        file.write(bytes([part]) * 5000)
        time.sleep(0.005)
"""


def write_slowly(path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True)


def test_what_lay_there_and_what_is_appended_are_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.partial"
    path.write_bytes(b"begun " * 1000)
    monkeypatch.setattr(rules, "FLUSH_BYTES", 8000)
    at_rest: list[Path] = []
    monkeypatch.setattr(rules, "sha256_file", at_rest.append)
    with ArrivingFile(path) as arriving:
        write_slowly(path)
    content = b"begun " * 1000 + b"".join(bytes([part]) * 5000 for part in range(20))
    promised = hashlib.sha256(content).hexdigest()
    assert arriving.sha256(promised) == promised
    assert at_rest == [], "the file was read a second time"


def test_what_was_corrected_after_it_was_read_is_seen_as_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "x.partial"
    path.write_bytes(b"wrong")
    with ArrivingFile(path) as arriving:
        write_slowly(path)
        with path.open("r+b") as file:
            file.write(b"right")
    promised = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.read_bytes().startswith(b"right")
    assert arriving.sha256(promised) == promised


def test_other_content_has_its_own_sum(tmp_path: Path) -> None:
    path = tmp_path / "x.partial"
    path.write_bytes(b"")
    with ArrivingFile(path) as arriving:
        path.write_bytes(b"other")
    assert arriving.sha256("0" * 64) == hashlib.sha256(b"other").hexdigest()


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with ArrivingFile(tmp_path / "gone") as arriving:
        pass
    with pytest.raises(FleetError, match=r"cannot hash .*gone.*No such file"):
        arriving.sha256("0" * 64)


def test_no_thread_is_left_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.partial"
    path.write_bytes(b"half")
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="writer"), ArrivingFile(path):
        raise RuntimeError("writer")
    assert threading.active_count() == before

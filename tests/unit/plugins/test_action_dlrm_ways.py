"""What prevents a login or root's rights is an answer, so that all hosts are heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import playbook
import pytest

TRY = {
    "name": "Try",
    "dlrm_ways": {"root": "/nowhere/dlrm", "name": "bench-01", "engine_socket": "/nowhere/socket"},
    "become": True,
    "register": "tried",
}
KEPT = {"name": "Keep it", "ansible.builtin.set_fact": {"seen": "{{ tried }}"}}


def tried(folder: Path, ssh: Path, **variables: Any) -> dict[str, Any]:
    given = {"ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0, **variables}
    ended = playbook.run(
        folder, [TRY, KEPT, *playbook.saved(folder)], variables=given, connection="ssh"
    )
    assert ended.code == 0, ended.output
    return playbook.seen(folder)


def sudo(folder: Path, body: str) -> dict[str, Any]:
    program = folder / "sudo"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return {"ansible_become_exe": str(program)}


# Without its options, a sudo of the present user.
WORKS = 'while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done; exec "$@"'


def test_a_host_that_answers_is_looked_at(tmp_path: Path, ssh: Path) -> None:
    found = tried(tmp_path, ssh, **sudo(tmp_path, WORKS))
    assert "refused" not in found, found
    assert found["answer"]["host"]["name"] == "bench-01"
    assert {way["what"] for way in found["answer"]["ways"]} >= {
        "engine sees root",
        "pip",
        "registry",
    }
    assert abs(found["clock"]["host"] - found["clock"]["sent"]) < 3600


def test_a_host_that_does_not_answer(tmp_path: Path, ssh: Path) -> None:
    (tmp_path / "down").touch()
    found = tried(tmp_path, ssh, **sudo(tmp_path, WORKS))
    assert found["refused"]["step"] == "connection"
    assert "No route" in found["refused"]["said"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        # Ansible's own words for it.
        ("sudo: a password is required", "Missing sudo password"),
        ("sudo: sorry, you must have a tty to run sudo", "you must have a tty"),
    ],
)
def test_root_that_is_refused(tmp_path: Path, ssh: Path, said: str, kept: str) -> None:
    found = tried(tmp_path, ssh, **sudo(tmp_path, f"echo '{said}' >&2; exit 1"))
    assert found["refused"]["step"] == "become"
    assert kept in found["refused"]["said"]


def test_a_host_without_python(tmp_path: Path, ssh: Path) -> None:
    missing = {"ansible_python_interpreter": "/nowhere/python3"}
    found = tried(tmp_path, ssh, **sudo(tmp_path, WORKS), **missing)
    assert found["refused"]["step"] == "become"
    assert "/nowhere/python3" in found["refused"]["said"]

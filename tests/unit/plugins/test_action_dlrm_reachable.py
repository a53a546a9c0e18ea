"""If a machine answers, the action runs one echo; otherwise it waits up to its timeout."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import playbook
import pytest


def wait(folder: Path, ssh: Path, seconds: float, *options: str, **task: Any) -> playbook.Ended:
    tasks = [{"name": "Wait", "dlrm_reachable": {"timeout": seconds}, "register": "seen", **task}]
    return playbook.run(
        folder,
        [*tasks, *playbook.saved(folder)],
        *options,
        # This Python does not exist. The action does not need one.
        variables={
            "ansible_ssh_executable": str(ssh),
            "ansible_ssh_retries": 0,
            "ansible_python_interpreter": "/nowhere/python",
        },
        connection="ssh",
    )


def test_a_machine_that_answers_is_not_waited_for(tmp_path: Path, ssh: Path) -> None:
    ended = wait(tmp_path, ssh, 0)
    assert "ok: [node1]" in ended.output.split("TASK [Keep]")[0], ended.output


def test_one_that_comes_back_in_time_is_reached(tmp_path: Path, ssh: Path) -> None:
    down = tmp_path / "down"
    down.touch()
    tried = tmp_path / "tried"
    ssh.write_text(ssh.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\ntouch {tried}\n"))

    def restore() -> None:
        while not tried.exists():
            time.sleep(0.1)
        down.unlink()

    restorer = threading.Thread(target=restore)
    restorer.start()
    ended = wait(tmp_path, ssh, 60)
    restorer.join()
    assert "ok: [node1]" in ended.output.split("TASK [Keep]")[0], ended.output


def test_one_that_stays_away_fails_with_its_name_and_the_reason(tmp_path: Path, ssh: Path) -> None:
    (tmp_path / "down").touch()
    ended = wait(tmp_path, ssh, 0)
    assert ended.code == 2, ended.output
    assert "node1 did not answer within 0 s: " in ended.words
    assert "ssh: connect to host x: No route" in ended.words
    # A rescue can catch this failure. Ansible's "unreachable" would take the host out.
    assert "unreachable=0" in ended.output


@pytest.mark.parametrize("mode", [(), ("--check",)])
@pytest.mark.parametrize(
    ("said", "seconds", "why"),
    [
        # Waiting does not help, so the minute is not waited for.
        (
            "ssh: Could not resolve hostname bench-01.rack: Name or service not known",
            3600,
            "bench-01.rack does not resolve here.",
        ),
        (
            "ssh: Could not resolve hostname bench-01.rack: Temporary failure in name resolution",
            0,
            "bench-01.rack does not resolve here.",
        ),
        (
            "ssh: connect to host 192.0.2.11 port 22: Connection timed out",
            0,
            "192.0.2.11 is reserved for documentation.",
        ),
    ],
)
def test_an_address_of_no_machine_is_named_with_the_place_for_the_right_one(
    tmp_path: Path, ssh: Path, said: str, seconds: int, why: str, mode: tuple[str, ...]
) -> None:
    ssh.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    ended = wait(tmp_path, ssh, seconds, *mode)
    assert ended.code == 2, ended.output
    assert said in ended.words
    assert why in ended.words
    assert (
        "Put the machine's own address into ansible_host of node1, in the inventory ("
        in ended.words
    )
    assert f"{tmp_path}/inventory.json)." in ended.words


def test_a_connection_that_hangs_ends_with_the_tasks_timeout(tmp_path: Path, ssh: Path) -> None:
    ssh.write_text("#!/bin/sh\nexec sleep 600\n")
    ended = wait(tmp_path, ssh, 1, timeout=3)
    assert ended.code == 2, ended.output
    assert "Timed out after 3 second(s)" in ended.words


def test_a_hung_master_is_left_and_the_machine_reached_anew(tmp_path: Path, ssh: Path) -> None:
    asked = tmp_path / "asked"
    hangs = (
        f'case "$*" in *"-O check"*) for word; do case "$word" in ControlPath=*)\n'
        'path=${word#ControlPath=}; path=${path#\\"}; path=${path%\\"}\n'
        f'touch "$path"; echo "$path" >{asked};; esac; done; exec sleep 600;; esac\n'
    )
    ssh.write_text(ssh.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{hangs}"))
    ended = wait(tmp_path, ssh, 0)
    assert "[node1] the open SSH connection hung and was dropped" in ended.words, ended.output
    assert "ok: [node1]" in ended.output.split("TASK [Keep]")[0], ended.output
    assert not Path(asked.read_text().strip()).exists()


def test_check_mode_asks_too(tmp_path: Path, ssh: Path) -> None:
    """Else the next task would lose the host, and nobody would learn why."""
    (tmp_path / "down").touch()
    ended = wait(tmp_path, ssh, 0, "--check")
    assert ended.code == 2, ended.output
    assert "node1 did not answer within 0 s: " in ended.words

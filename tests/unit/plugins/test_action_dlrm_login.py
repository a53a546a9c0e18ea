"""The storage node logs in as the connection's user, at the address that ssh uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import playbook
import pytest

VARIABLES = playbook.REPOSITORY / "inventories/common/group_vars/all"
LOADED = [
    {"name": "Load", "ansible.builtin.include_vars": f"{VARIABLES}/{name}.yml"}
    for name in ("connection", "dlrm_storage")
]
KEPT = {"name": "Keep the way", "ansible.builtin.set_fact": {"seen": "{{ dlrm_storage_source }}"}}
ASKED = {"name": "Ask", "dlrm_login": {}, "register": "dlrm_storage_login"}
ELSEWHERE = ["-e", "dlrm_storage_node=archive"]


def way(folder: Path, *tasks: dict[str, Any], **options: Any) -> dict[str, Any]:
    """How the storage node reaches the host, after these tasks."""
    asked = [*LOADED, *tasks, KEPT, *playbook.saved(folder)]
    ended = playbook.run(folder, asked, *ELSEWHERE, **options)
    assert ended.code == 0, ended.output
    return playbook.seen(folder)


def configured(folder: Path, ssh: Path, settings: str) -> dict[str, Any]:
    """An ssh whose configuration knows the host, and a host where one LAB\\bench logs in."""
    program = (
        f'#!/bin/sh\nfor word; do [ "$word" = -G ] && {{ printf "{settings}"; exit; }}; done\n'
    )
    ssh.write_text(ssh.read_text().replace("#!/bin/sh\n", f"{program}PATH={folder}/bin:$PATH\n"))
    (folder / "bin").mkdir()
    (folder / "bin" / "id").write_text("#!/bin/sh\n[ \"$*\" = -un ] && printf 'LAB\\\\bench\\n'\n")
    (folder / "bin" / "id").chmod(0o755)
    return {"ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0}


def test_a_login_that_nobody_names_is_not_roots(tmp_path: Path) -> None:
    """As where the login stands in ~/.ssh/config, or is given with -u."""
    assert way(tmp_path)["user"] == ""
    assert way(tmp_path, variables={"ansible_user": "bench"})["user"] == "bench"


def test_login_and_address_come_from_the_connection(tmp_path: Path, ssh: Path) -> None:
    variables = configured(tmp_path, ssh, "user bench\\nhostname 192.0.2.77\\nport 2222\\n")
    # A login shell may greet.
    ssh.write_text(ssh.read_text().replace("exec sh", 'printf "Welcome! "\nexec sh'))
    found = way(tmp_path, ASKED, variables=variables, connection="ssh")
    assert (found["user"], found["address"]) == ("LAB\\bench", "192.0.2.77")
    assert int(found["port"]) == 2222


def test_what_the_inventory_says_of_the_address_wins(tmp_path: Path, ssh: Path) -> None:
    variables = configured(tmp_path, ssh, "hostname 192.0.2.77\\nport 2222\\n")
    given = {**variables, "dlrm_connection_public": "198.51.100.1"}
    # An included file would win over it; an inventory's own group_vars do not.
    tasks = [task for task in LOADED if "connection" not in str(task)]
    ended = playbook.run(
        tmp_path,
        [*tasks, ASKED, KEPT, *playbook.saved(tmp_path)],
        *ELSEWHERE,
        variables=given,
        connection="ssh",
    )
    assert ended.code == 0, ended.output
    assert playbook.seen(tmp_path)["address"] == "198.51.100.1"


def test_without_ssh_the_user_is_asked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "id").write_text("#!/bin/sh\necho bench@lab.example\n")
    (folder / "id").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    found = way(tmp_path, ASKED)
    assert (found["user"], found["address"]) == ("bench@lab.example", "node1")

"""One machine under two names is refused before it is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import request_play
from request_play import REPOSITORY, Inventory, Read

RUN = str(REPOSITORY / "playbooks/tasks/run")


def chosen(folder: Path, *options: str, **roots: str) -> Read:
    """Read the hosts' runs and choose one, as the play 'Find the run' does."""
    tasks: list[dict[str, Any]] = [
        {
            "name": "Find",
            "ansible.builtin.include_tasks": f"{RUN}/find.yml",
            "when": "inventory_hostname in dlrm_hosts",
        },
        {"name": "Choose", "ansible.builtin.include_tasks": f"{RUN}/choose.yml"},
        {"name": "Say", "ansible.builtin.debug": {"msg": "{{ dlrm_failure.message }}"}},
    ]
    tasks[2]["when"] = "dlrm_failure is defined"
    hosts = {name: {"dlrm_host_root": root} for name, root in roots.items()}
    inventory = Inventory(folder, hosts)
    return request_play.read(inventory, "-e", "precision=int8", *options, tasks=tasks)


def test_two_names_of_one_machine_are_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ended = chosen(tmp_path, rack1=root, rack2=root, rack3=root)
    assert "the hosts rack1, rack2, rack3 are one machine" in ended.words
    assert "Keep one of these names in the group benchmark_hosts" in ended.words
    assert ": new; " not in ended.words


def test_other_folders_do_not_make_it_two_machines(tmp_path: Path) -> None:
    """Both would be measured at once and disturb each other."""
    ended = chosen(tmp_path, rack1=str(tmp_path / "one"), rack2=str(tmp_path / "two"))
    assert "the hosts rack1, rack2 are one machine" in ended.words


def test_one_of_the_names_alone_is_measured(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ended = chosen(tmp_path, "--limit", "rack2", rack1=root, rack2=root)
    assert ": new; no open run of this request on 1 host" in ended.words
    assert "are one machine" not in ended.words

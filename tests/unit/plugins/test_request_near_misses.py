"""A misspelt variable of the inventory is named, wherever it stands; a user's own is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import request_play
from request_play import Inventory

PRECISION = ("-e", "precision=int8")


@pytest.mark.parametrize(
    ("hosts", "groups", "files", "words"),
    [
        (
            {"a": {"tuen": True}, "b": {}},
            {},
            {},
            "tuen: unknown variable; did you mean tune? It stands in the inventory, at host a.",
        ),
        (
            {"a": {}},
            {"benchmark_hosts": {"audti": "test01"}},
            {},
            "audti: unknown variable; did you mean audit? It stands in the inventory, at group"
            " benchmark_hosts.",
        ),
        (
            {"a": {}},
            {},
            {"host_vars/a.yml": "dlrm_hots_root: /data\n"},
            "dlrm_hots_root: unknown variable; did you mean dlrm_host_root? It stands in the"
            " inventory, at host a.",
        ),
        (
            {"a": {}},
            {"storage": {"dlrm_stroage_root": "/data"}},
            {},
            "did you mean dlrm_storage_root?",
        ),
    ],
)
def test_near_misses_are_refused(
    tmp_path: Path,
    hosts: dict[str, dict[str, object]],
    groups: dict[str, dict[str, object]],
    files: dict[str, str],
    words: str,
) -> None:
    ended = request_play.read(Inventory(tmp_path, hosts, files, groups), *PRECISION)
    assert ended.code != 0, ended.words
    assert words in ended.words
    assert "If it is your own, give it another name." in ended.words


def test_those_of_group_vars_beside_the_playbook_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "group_vars"
    folder.mkdir()
    (folder / "all.yml").write_text("deadlien: 2h\n")
    ended = request_play.read(Inventory(tmp_path, {"a": {}}), *PRECISION)
    assert ended.code != 0, ended.words
    assert "deadlien: unknown variable; did you mean deadline?" in ended.words
    assert "at group all." in ended.words


def test_a_users_own_variables_are_left_alone(tmp_path: Path) -> None:
    own = dict.fromkeys(["need", "seeds", "audio", "profiles", "data_root", "dlrm_lab_rack"], "x")
    inventory = Inventory(tmp_path, {"a": {**own, "ansible_tune": 1}})
    ended = request_play.read(inventory, *PRECISION)
    assert ended.code == 0, ended.words


def test_variables_of_launchers_are_not_ours(tmp_path: Path) -> None:
    given = '{"semaphore_vars": {"task_details": {"id": 1}}, "packer_build_name": "x"}'
    ended = request_play.read(
        Inventory(tmp_path, {"a": {}}), *PRECISION, "-e", given, "-e", "awx_job_id=1 tower_job_id=1"
    )
    assert ended.code == 0, ended.words

"""With another user's rights: what that user may not reach, this process does not reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.as_user import as_user


def ids() -> tuple[int, int, list[int]]:
    return os.geteuid(), os.getegid(), os.getgroups()


def test_the_rights_are_another_users_and_come_back(tmp_path: Path) -> None:
    before = ids()
    (tmp_path / "mine").write_text("x")
    (tmp_path / "mine").chmod(0o000)
    with pytest.raises(PermissionError), as_user(65534, 65533):
        inside = ids()
        (tmp_path / "mine").read_text()
    assert ids() == before
    assert inside == ((65534, 65533, [65533]) if before[0] == 0 else before)


def test_an_account_has_all_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids()
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "initgroups", lambda name, gid: asked.append((name, gid)))
    with as_user(65534, 65533, "LAB\\bench"):
        pass
    assert asked == ([("LAB\\bench", 65533)] if before[0] == 0 else [])
    assert ids() == before


def test_root_stays_root() -> None:
    before = ids()
    with as_user(0, 0, "root"):
        assert ids() == before

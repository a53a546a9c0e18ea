"""Root's rights change for a while and come back, whatever happens meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.rights import acting_as, as_owner_of, as_root, owner_of

UID, OTHER = 65534, 1234


def rights() -> tuple[int, int, list[int]]:
    return os.geteuid(), os.getegid(), os.getgroups()


@pytest.fixture
def top() -> Iterator[Path]:
    """Everybody may enter it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_they_are_nested_and_come_back() -> None:
    before = rights()
    with acting_as(UID, OTHER):
        assert rights() == (UID, OTHER, [])
        with as_root():
            assert rights() == before
            with acting_as(OTHER, OTHER):
                assert rights() == (OTHER, OTHER, [])
            assert rights() == before
        assert rights() == (UID, OTHER, [])
        with acting_as(OTHER, OTHER):
            assert rights() == (OTHER, OTHER, [])
        assert rights() == (UID, OTHER, [])
    assert rights() == before


def test_they_come_back_after_an_error() -> None:
    before = rights()
    with pytest.raises(KeyError), acting_as(UID, UID), as_root(), acting_as(OTHER, OTHER):
        raise KeyError
    assert rights() == before
    with acting_as(UID, UID):
        with pytest.raises(PermissionError):
            Path("/root/x").write_text("")
        with as_root():
            assert rights() == before


def test_an_ordinary_user_keeps_its_rights(top: Path) -> None:
    os.seteuid(UID)
    try:
        for changed in (acting_as(OTHER, OTHER), as_root(), as_owner_of(top)):
            with changed:
                assert os.geteuid() == UID
    finally:
        os.seteuid(0)


def test_the_nearest_owner_counts(top: Path) -> None:
    inner = top / "home" / "dlrm"
    inner.mkdir(parents=True)
    assert owner_of(inner) == (0, 0)
    os.chown(top / "home", OTHER, OTHER)
    assert owner_of(inner) == owner_of(inner / "absent" / "too") == (OTHER, OTHER)
    os.chown(inner, UID, UID)
    assert owner_of(inner) == (UID, UID)
    with as_owner_of(inner):
        assert rights() == (UID, UID, [])


def test_whoever_made_the_link_counts_else_whose_folder_it_leads_to(top: Path) -> None:
    (top / "real").mkdir()
    (top / "link").symlink_to("real")
    assert owner_of(top / "link") == (0, 0)
    os.chown(top / "real", UID, UID)
    assert owner_of(top / "link") == (UID, UID)
    os.chown(top / "link", OTHER, OTHER, follow_symlinks=False)
    assert owner_of(top / "link") == (OTHER, OTHER)


def test_root_keeps_its_rights_only_where_a_folder_of_its_own_is_in_the_way(top: Path) -> None:
    inner = top / "closed" / "dlrm"
    inner.mkdir(parents=True)
    os.chown(inner, UID, UID)
    inner.parent.chmod(0o700)
    assert owner_of(inner) == (0, 0)
    # An owner cannot bring root to that by closing a folder.
    os.chown(inner.parent, UID, UID)
    inner.parent.chmod(0)
    assert owner_of(inner) == (UID, UID)
    os.chown(inner.parent, 0, 0)
    inner.parent.chmod(0o755)
    inner.chmod(0)
    assert owner_of(inner) == (UID, UID)


def test_a_user_may_bring_its_groups() -> None:
    with acting_as(UID, OTHER, (OTHER, 4321)):
        assert sorted(os.getgroups()) == [OTHER, 4321]
        with as_root(), acting_as(OTHER, OTHER):
            assert os.getgroups() == []
        assert sorted(os.getgroups()) == [OTHER, 4321]

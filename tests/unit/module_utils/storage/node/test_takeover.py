"""The storage node's folders go to one user: all of root's, nothing of others, through no link."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.storage.node import own_key, takeover
from ansible.module_utils.dlrm_fleet.storage.node.takeover import Folders, owner_name

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def chowns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """As root of a machine on which root's files are those of whoever runs this test."""
    given: list[tuple[str, int]] = []

    def chown(path: str | Path, uid: int, _gid: int, **more: object) -> None:
        assert Path(path).is_absolute() or more.get("follow_symlinks") is False
        given.append((Path(path).name, uid))

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(takeover, "ROOT_UID", os.getuid())
    monkeypatch.setattr(takeover, "owner_name", lambda _root, user, _host_root: user)
    return given


def folders(tmp_path: Path, key_file: str = "") -> Folders:
    return Folders(tmp_path / "store", tmp_path / "keys" / "lab", "nobody", key_file)


def test_a_new_node_gets_both_folders(tmp_path: Path, chowns: list[tuple[str, int]]) -> None:
    made = folders(tmp_path)
    assert made.lacking() == [str(made.root), str(made.keys)]
    made.ensure()
    assert (made.root.stat().st_mode & 0o777, made.keys.stat().st_mode & 0o777) == (0o755, 0o700)
    assert chowns == [("store", NOBODY.pw_uid), ("lab", NOBODY.pw_uid)]


def test_what_an_older_release_made_as_root_is_taken_contents_first(
    tmp_path: Path, chowns: list[tuple[str, int]]
) -> None:
    made = folders(tmp_path)
    (made.root / "runs" / "id" / "host").mkdir(parents=True)
    (made.root / "runs" / "id" / "host" / "run.json").write_text("{}")
    made.keys.mkdir(parents=True)
    (made.keys / "read").write_text("key")
    made.ensure()
    names = [name for name, _uid in chowns]
    assert names == ["run.json", "host", "id", "runs", "store", "read", "lab"]


def test_no_link_is_followed_and_no_second_name_of_a_file_given_away(
    tmp_path: Path, chowns: list[tuple[str, int]]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("root's")
    made = folders(tmp_path)
    made.root.mkdir()
    (made.root / "link").symlink_to(outside)
    os.link(outside / "secret", made.root / "second")
    made.ensure()
    names = [name for name, _uid in chowns]
    # The link itself is given, as os.lchown does.
    assert "link" in names
    assert not {"secret", "second", "outside"} & set(names)


def test_an_unknown_user_is_lacking(tmp_path: Path, chowns: list[tuple[str, int]]) -> None:
    made = Folders(tmp_path / "store", tmp_path / "keys", "no-such-user-here", "")
    assert made.lacking()[0] == "user no-such-user-here"
    with pytest.raises(Exception, match="no user 'no-such-user-here'"):
        made.ensure()


def test_who_owns_the_root(tmp_path: Path) -> None:
    mine = pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "mine").mkdir()
    # pytest's folders are closed to others, so a root below them stays with whoever runs this.
    assert owner_name(tmp_path / "mine", "dlrm-storage") == mine
    assert owner_name(tmp_path / "new", "dlrm-storage") == mine


def test_root_keeps_what_the_user_could_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    new, closed = Path("/srv/no-such-folder/store"), tmp_path / "folder"
    assert owner_name(new, "dlrm-storage") == "dlrm-storage"
    assert owner_name(new, "dlrm-storage", "/srv/no-such-root") == "dlrm-storage"
    assert owner_name(closed, "dlrm-storage") == "root"
    assert owner_name(new, "dlrm-storage", str(closed)) == "root"


def test_a_key_that_cannot_be_read_is_replaced_by_its_copy(tmp_path: Path) -> None:
    source = {"address": "192.0.2.1", "user": "u", "key_file": "/no/such/key"}
    assert own_key.readable(tmp_path, None) is None
    assert own_key.readable(tmp_path, source) == source
    copy = own_key.copy_of(tmp_path, "/no/such/key")
    copy.parent.mkdir()
    copy.write_text("a key")
    assert own_key.readable(tmp_path, source) == {**source, "key_file": str(copy)}
    known = own_key.known_hosts_of(copy)
    known.write_text("a host")
    found = own_key.readable(tmp_path, source)
    assert found == {**source, "key_file": str(copy), "known_hosts_file": str(known)}
    named = {**source, "known_hosts_file": "/theirs"}
    assert own_key.readable(tmp_path, named) == {**named, "key_file": str(copy)}

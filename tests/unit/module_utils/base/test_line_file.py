"""Files that others write, too: our lines change, every other byte stays, no link is followed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base import line_file
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.line_file import edit, replaced

FOREIGN = b"# caf\xe9\x0b\x1c\r\n\n\xff\xfe not text\n"


def is_ours(line: bytes) -> bool:
    return line.rstrip().endswith(b" ours")


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        (FOREIGN, ["b ours"], FOREIGN + b"b ours\n"),
        (FOREIGN + b"a ours\n", ["b ours"], FOREIGN + b"b ours\n"),
        (b"a ours\r\n" + FOREIGN, ["b ours"], FOREIGN + b"b ours\n"),
        (FOREIGN + b"no end", ["b ours"], FOREIGN + b"no end\nb ours\n"),
        (FOREIGN + b"a ours", ["b ours"], FOREIGN + b"b ours\n"),
        (FOREIGN + b"a ours\nno end", [], FOREIGN + b"no end"),
        (b"b ours\n" + FOREIGN, ["b ours"], b"b ours\n" + FOREIGN),
        (b"b ours", ["b ours"], b"b ours\n"),
        (b"a ours\nb ours\n", ["b ours"], b"b ours\n"),
        (b"", [], b""),
    ],
)
def test_only_our_lines_change(before: bytes, lines: list[str], after: bytes) -> None:
    assert replaced(before, is_ours, lines) == after
    assert replaced(after, is_ours, lines) == after


def test_a_file_is_made_changed_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert edit(path, lambda _old: b"new\n", check=True) == (b"", b"new\n")
    assert list(tmp_path.iterdir()) == []
    assert edit(path, lambda _old: b"new\n") == (b"", b"new\n")
    assert path.stat().st_mode & 0o777 == 0o600
    inode = path.stat().st_ino
    assert edit(path, lambda old: old) == (b"new\n", b"new\n")
    assert path.stat().st_ino == inode
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_the_file_that_a_link_names_is_replaced(tmp_path: Path) -> None:
    """A user may keep such files elsewhere; who must not follow takes the user's rights before."""
    (tmp_path / "kept").write_text("old\n")
    (tmp_path / "file").symlink_to("kept")
    edit(tmp_path / "file", lambda old: old + b"new\n")
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "kept").read_text() == "old\nnew\n"


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FleetError, match="is not a regular file"):
            edit(tmp_path / name, lambda old: old)


def test_a_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_file, "MOST_BYTES", 8)
    (tmp_path / "file").write_bytes(b"x" * 9)
    with pytest.raises(FleetError, match="it has more than 8 bytes"):
        edit(tmp_path / "file", lambda old: old)


def test_a_change_waits_for_its_turn_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_file, "PATIENCE_SECONDS", 0.0)
    lock = tmp_path / ".file.dlrm-fleet.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FleetError, match="another process has held"):
            edit(tmp_path / "file", lambda _old: b"new\n")
    edit(tmp_path / "file", lambda _old: b"new\n")
    assert not lock.exists()


def test_what_another_process_wrote_before_our_turn_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    asked: list[bytes] = []

    def change(old: bytes) -> bytes:
        if not asked:
            path.write_bytes(b"another's\n")
        asked.append(old)
        return old + b"ours\n"

    assert edit(path, change) == (b"another's\n", b"another's\nours\n")
    assert path.read_bytes() == b"another's\nours\n"

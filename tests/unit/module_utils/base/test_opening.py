"""Only regular files are opened, and folders through links of root's alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.opening import (
    NotRegular,
    open_folder,
    open_regular,
    read_regular,
)


def test_a_regular_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_regular(tmp_path / "a", 4)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent", 4)


def test_a_link_is_followed_only_if_asked_and_only_to_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    for name in ("a", "pipe"):
        (tmp_path / f"to-{name}").symlink_to(name)
    assert read_regular(tmp_path / "to-a", 5, follow=True) == b"12345"
    with pytest.raises(NotRegular, match="it is a link, a regular file is wanted"):
        read_regular(tmp_path / "to-a", 5)
    with pytest.raises(NotRegular, match="it is no regular file"):
        read_regular(tmp_path / "to-pipe", 5, follow=True)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT])
def test_what_is_no_file_is_neither_opened_nor_awaited(tmp_path: Path, flags: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    for name in ("pipe", "socket"):
        with pytest.raises(NotRegular, match="it is no regular file"):
            open_regular(tmp_path / name, flags)
    with pytest.raises(OSError):
        open_regular(tmp_path, flags)


def test_a_link_of_roots_leads_to_a_folder_and_a_users_does_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    tmp_path.chmod(0o755)
    found = open_folder(tmp_path / "link")
    assert os.path.samestat(os.fstat(found), (tmp_path / "real").stat())
    os.close(found)
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(OSError):
        open_folder(tmp_path / "link")
    os.close(open_folder(tmp_path / "real"))


def test_a_folder_that_everybody_writes_to_is_not_roots_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    tmp_path.chmod(0o1777)
    with pytest.raises(OSError):
        open_folder(tmp_path / "link")

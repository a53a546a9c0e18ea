"""Module dlrm_host_root on folders of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_host_root

Capture = pytest.CaptureFixture[str]
ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def ensure(capsys: Capture, tmp_path: Path, **changed: Any) -> dict[str, Any]:
    arguments = {
        "root": str(tmp_path / "srv/dlrm"),
        "owner": ME,
        "home": str(tmp_path / "home"),
        "home_user": ME,
        "host": {"schema_version": 1, "name": "here", "memory": {"total_gib": 1.0}},
    }
    return run_module(dlrm_host_root, capsys, **{**arguments, **changed})


def test_everything_is_made_once(tmp_path: Path, home: Path, capsys: Capture) -> None:
    made = ensure(capsys, tmp_path)
    root = tmp_path / "srv/dlrm"
    assert made["changed"] is True
    assert f"{root}: folder made\n" in made["diff"]["after"]
    for name in ("stages", "runs", "incoming", "data", "model", "results"):
        assert (root / name).is_dir()
        assert (root / name).stat().st_mode & 0o777 == 0o755
    for name in ("data", "model", "results"):
        assert str((home / name).readlink()) == str(root / name)
    assert json.loads((root / "host.json").read_text())["name"] == "here"
    again = ensure(capsys, tmp_path)
    assert (again["changed"], again["changes"]) == (False, {})


def test_a_check_lists_the_same_and_makes_nothing(
    tmp_path: Path, home: Path, capsys: Capture
) -> None:
    checked = ensure(capsys, tmp_path, _ansible_check_mode=True)
    assert not (tmp_path / "srv").exists()
    assert list(home.iterdir()) == []
    assert ensure(capsys, tmp_path)["changes"] == checked["changes"]


def test_the_users_own_folder_stays(tmp_path: Path, home: Path, capsys: Capture) -> None:
    (home / "data").mkdir(mode=0o750)
    (home / "data/labels.npy").write_text("the user's")
    ensure(capsys, tmp_path)
    assert (home / "data/labels.npy").read_text() == "the user's"
    assert (home / "data").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "srv/dlrm/data").readlink() == home / "data"
    assert ensure(capsys, tmp_path)["changed"] is False


def test_the_users_own_link_stays(tmp_path: Path, home: Path, capsys: Capture) -> None:
    (tmp_path / "big").mkdir()
    (home / "model").symlink_to(tmp_path / "big")
    ensure(capsys, tmp_path)
    assert (home / "model").readlink() == tmp_path / "big"
    assert (tmp_path / "srv/dlrm/model").readlink() == tmp_path / "big"


def test_a_folder_the_user_made_later_takes_the_place_of_an_empty_one(
    tmp_path: Path, home: Path, capsys: Capture
) -> None:
    ensure(capsys, tmp_path)
    (home / "data").unlink()
    (home / "data").mkdir()
    assert ensure(capsys, tmp_path)["changed"] is True
    assert (tmp_path / "srv/dlrm/data").readlink() == home / "data"


def test_files_in_both_are_refused_and_kept(tmp_path: Path, home: Path, capsys: Capture) -> None:
    ensure(capsys, tmp_path)
    (tmp_path / "srv/dlrm/data/made.bin").write_text("ours")
    (home / "data").unlink()
    (home / "data").mkdir()
    refused = ensure(capsys, tmp_path)
    assert refused["failed"] is True
    assert "both it and the user's own" in refused["msg"]
    assert (tmp_path / "srv/dlrm/data/made.bin").read_text() == "ours"


def test_a_file_in_a_folders_place_is_refused(tmp_path: Path, home: Path, capsys: Capture) -> None:
    (home / "model").write_text("a file")
    refused = ensure(capsys, tmp_path)
    assert refused["failed"] is True
    assert f"{home / 'model'}': it is a file" in refused["msg"]
    assert "Rename it" in refused["msg"]
    assert (home / "model").read_text() == "a file"


def test_a_changed_mode_and_document_are_mended(
    tmp_path: Path, home: Path, capsys: Capture
) -> None:
    ensure(capsys, tmp_path)
    root = tmp_path / "srv/dlrm"
    (root / "runs").chmod(0o700)
    (root / "host.json").write_text("{half")
    mended = ensure(capsys, tmp_path)["changes"]
    assert mended == {
        str(root / "runs"): "owner and mode set",
        str(root / "host.json"): "machine described",
    }
    assert (root / "runs").stat().st_mode & 0o777 == 0o755
    assert json.loads((root / "host.json").read_text())["name"] == "here"


def test_an_owner_that_is_no_pair_of_numbers_is_refused(
    tmp_path: Path, home: Path, capsys: Capture
) -> None:
    refused = ensure(capsys, tmp_path, owner="bench")
    assert "wanted '<uid>:<gid>'" in refused["msg"]
    assert not (tmp_path / "srv").exists()


def test_a_home_is_touched_as_its_user(tmp_path: Path, home: Path, capsys: Capture) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    os.chown(home, 65534, 65534)
    ensure(capsys, tmp_path, owner="65534:65534", home_user="65534:65534")
    assert (home / "data").lstat().st_uid == 65534
    assert (tmp_path / "srv/dlrm/stages").stat().st_uid == 65534
    os.chown(home, 0, 0)
    home.chmod(0o755)
    (home / "data").unlink()
    refused = ensure(capsys, tmp_path, owner="65534:65534", home_user="65534:65534")
    assert "Permission denied" in refused["msg"]
    assert os.geteuid() == 0

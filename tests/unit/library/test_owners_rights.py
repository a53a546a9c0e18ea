"""Root works below a user's folder with that user's rights, and everything still works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted_host import GID, UID, USER, Host
from test_planter import CONTENT, SHA256, stage_document
from tiny.machine import RUN, SHA, request

import dlrm_host_root
import dlrm_storage_restore

LINK = f"model/{os.uname().machine}_fp32.bin"
RESTORED = Path("stages/dump") / ("ab" * 8) / "sub/model.pt"


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.remove()


def finished(host: Host) -> dict[str, Any]:
    """Stage "made" is done, as its container leaves it."""
    host.prepare()
    files = dict.fromkeys(("made.bin", "other.txt"), b"seed 1")
    host.finish_stage(files)
    return host.stage()


def test_a_finished_stage_is_published(host: Host) -> None:
    done = finished(host)
    assert done["state"] == "done", done
    assert "left in place" not in str(done)
    link = host.root / LINK
    assert link.read_bytes() == b"seed 1"
    assert (host.home / LINK).read_bytes() == b"seed 1"
    assert link.lstat().st_uid == UID


def test_roots_own_folder_gets_its_links_from_root(host: Host) -> None:
    """Root logged in and keeps its models in a home that nobody else may enter."""
    private = host.folder / "root"
    (private / "model").mkdir(parents=True)
    private.chmod(0o700)
    options: dict[str, Any] = {"home": str(private), "home_user": "0:0"}
    assert not host.ensure_root(**options).get("failed")
    assert (host.root / "model").readlink() == private / "model"
    assert not host.open().get("failed")
    host.key = host.stage()["key"]
    host.finish_stage({"made.bin": b"seed 1", "other.txt": b""})
    assert "left in place" not in str(host.stage())
    assert (private / LINK).read_bytes() == b"seed 1"
    assert host.ensure_root(**options)["changes"] == {}


def test_a_users_link_gets_nothing_into_roots_folder(host: Host) -> None:
    host.prepare()
    host.plant("model", "vault")
    host.finish_stage({"made.bin": b"seed 1", "other.txt": b""})
    answer = host.stage()
    assert answer["failed"]
    assert "Permission denied" in answer["msg"]


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_of_data_is_hashed_as_whom_it_belongs_to(host: Host, mode: int) -> None:
    """The root folder's user needs no rights there: the engine hands the folder in."""
    host.prepare()
    data = host.folder / "data"
    data.mkdir()
    (data / "clicks").write_bytes(b"1")
    (data / "clicks").chmod(mode & 0o666)
    for path in (data, data / "clicks"):
        os.chown(path, 1234, 1234)
    data.chmod(mode)
    assert sourced(host, data)["state"] == "running"


def test_a_folder_of_data_that_root_hides_is_hashed(host: Host) -> None:
    host.prepare()
    data = host.folder / "hidden" / "data"
    data.mkdir(parents=True)
    (data / "clicks").write_bytes(b"1")
    os.chown(data, 1234, 1234)
    data.parent.chmod(0o700)
    assert sourced(host, data)["state"] == "running"


def test_a_pipe_among_the_data_is_refused_in_a_sentence(host: Host) -> None:
    host.prepare()
    data = host.folder / "data"
    data.mkdir()
    os.mkfifo(data / "clicks")
    answer = sourced(host, data)
    assert f"cannot use '{data}/clicks': it is no regular file" in answer["msg"]


def sourced(host: Host, data: Path) -> dict[str, Any]:
    source = {"kind": "folder", "path": str(data)}
    sources = {"weights_source": None, "data_source": source}
    asked = request(sources=sources, parameters={"data_source": "folder"})
    return host.stage(stage="sourced", request=asked)


@pytest.mark.parametrize("uid", [0, UID, 1234], ids=["root", "owner", "third"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_what_arrived_for_the_login_user_is_installed_for_the_owner(
    host: Host, uid: int, mode: int
) -> None:
    host.prepare()
    arrived = host.root / "incoming" / SHA256
    arrived.write_bytes(CONTENT)
    arrived.chmod(mode)
    for path in (arrived, arrived.parent):
        os.chown(path, uid, uid)
    assert restored(host)["missing"] == {}
    found = host.root / RESTORED
    assert found.read_bytes() == CONTENT
    assert (found.stat().st_uid, found.stat().st_gid, found.stat().st_mode & 0o777) == (
        UID,
        GID,
        0o644,
    )
    assert not arrived.exists()


def test_what_arrived_with_another_content_is_removed(host: Host) -> None:
    host.prepare()
    arrived = host.root / "incoming" / SHA256
    arrived.write_bytes(b"x" * len(CONTENT))
    os.chown(arrived.parent, 0, 0)
    answer = restored(host)
    assert (answer["refused"], answer["missing"]) == ([SHA256], {SHA256: len(CONTENT)})
    assert not arrived.exists()


def test_another_name_of_roots_file_is_not_installed(host: Host) -> None:
    host.prepare()
    precious = host.vault / "precious"
    os.link(precious, host.root / "incoming" / SHA256)
    restored(host)
    assert precious.stat().st_nlink == 1
    assert not (host.root / RESTORED).exists()


def restored(host: Host) -> dict[str, Any]:
    return host.call(
        dlrm_storage_restore,
        owner=USER,
        node="storage-01",
        stages=[{"document": stage_document(), "files": True}],
    )


def test_folders_of_a_former_owner_are_given_to_the_present_one(host: Host) -> None:
    host.prepare()
    for path in (host.root, host.root / "stages", host.root / "stages/made", host.root / "runs"):
        os.chown(path, 1234, 1234)
    os.chown(host.root / "runs" / RUN, 1234, 1234)
    changes = host.ensure_root()["changes"]
    assert changes[str(host.root / "stages/made")] == "owner and mode set"
    assert not host.open().get("failed")
    assert not host.stage().get("failed")
    assert host.ensure_root()["changes"] == {}


def test_a_root_that_its_owner_cannot_reach_is_warned_of_and_works(host: Host) -> None:
    assert dlrm_host_root.warning(host.root) == ""
    host.folder.chmod(0o700)
    host.before = host.outside()
    assert not host.ensure_root(home_user="0:0").get("failed")
    # Where other tests loaded the controller's code, Ansible shows a warning and returns none.
    assert "may not enter the folders above it" in dlrm_host_root.warning(host.root)
    assert not host.open().get("failed")
    assert host.stage()["state"] == "running"


def test_a_root_in_its_owners_home_is_used_as_the_owner(host: Host) -> None:
    host.root = host.home / "below" / "dlrm"
    host.prepare()
    assert host.root.parent.stat().st_uid == UID
    with_link = host.home / "elsewhere"
    shutil.move(host.root.parent, with_link)
    host.root.parent.symlink_to(host.vault)
    os.chown(host.root.parent, UID, GID, follow_symlinks=False)
    for answer in (host.ensure_root(), host.open(), host.stage()):
        assert answer["failed"]


PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import conftest
from ansible.module_utils.testing import patch_module_args
import dlrm_run

class Finder:
    def find_spec(self, name, *_rest):
        assert os.geteuid() == 0, f"{name} is loaded late"

with patch_module_args(json.load(sys.stdin)):
    sys.meta_path.insert(0, Finder())
    dlrm_run.main()
"""


def test_nothing_is_loaded_with_the_owners_rights(host: Host) -> None:
    """The owner may not be able to read this Python and this module."""
    assert not host.ensure_root().get("failed")
    arguments = {
        "root": str(host.root),
        "run_id": RUN,
        "request_sha256": SHA,
        "controller": host.controller,
        "deadline_seconds": 60,
        "owner": USER,
    }
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tests],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] is True

"""Module dlrm_storage_access: the login user gets the keys; planted links and pipes do no harm."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_storage_access

# Root takes the rights of nobody. Anybody else keeps their own.
UID, GID = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
PUBLIC = {mode: f"ssh-ed25519 AAAA{mode} dlrm-fleet-{mode}" for mode in ("read", "write")}
OTHERS = b"ssh-rsa AAAA me\n# a comment\nssh-rsa BBBB dlrm-fleet:other:read\n"


class Machine:
    """A host with one login user, and a folder of root's that must stay as it is."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.home, self.root, self.victim = (folder / name for name in ("home", "dlrm", "victim"))
        for path in (self.home, self.root, self.victim):
            path.mkdir()
        (self.home / ".ssh").mkdir(mode=0o700)
        self.own(self.home, self.home / ".ssh", self.root)
        (self.victim / "authorized_keys").write_text("root's own")
        (self.victim / "authorized_keys").chmod(0o400)
        self.victim.chmod(0o500)
        self.path = self.home / ".ssh" / "authorized_keys"

    def own(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, UID, GID, follow_symlinks=False)

    def call(self, user: str = "bench", **more: Any) -> dict[str, Any]:
        given = {
            "user": user,
            "root": str(self.root),
            "fleet": "lab",
            "keys": PUBLIC,
            "sources": ["192.0.2.20"],
            **more,
        }
        return run_module(dlrm_storage_access, self.capsys, **given)

    def is_unharmed(self) -> bool:
        kept = self.victim / "authorized_keys"
        found = kept.stat()
        return (
            [path.name for path in self.victim.iterdir()] == ["authorized_keys"]
            and kept.read_text() == "root's own"
            and (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o400)
        )

    def ours(self) -> list[str]:
        lines = self.path.read_text().splitlines()
        return [line for line in lines if "dlrm-fleet:lab:" in line]


@pytest.fixture
def machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Machine]:
    # pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="dlrm-access-"))
    folder.chmod(0o755)
    made = Machine(folder, capsys)
    known = {"bench": made.home, "bench@lab.example": made.home, "LAB\\bench": made.home}
    (folder / "root-home").mkdir()

    def getpwnam(name: str) -> pwd.struct_passwd:
        if name == "root":
            return pwd.struct_passwd(("root", "x", 0, 0, "", str(folder / "root-home"), "/bin/sh"))
        return pwd.struct_passwd((name, "x", UID, GID, "", str(known[name]), "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    yield made
    made.victim.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _host_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine need not be an SSH host."""
    keys = getattr(dlrm_storage_access, "keys", None)
    if keys is not None:
        monkeypatch.setattr(keys, "host_keys", lambda _folder: ["ssh-ed25519 AAAAhost"])


@pytest.mark.parametrize("user", ["bench", "bench@lab.example", "LAB\\bench"])
def test_the_keys_go_to_the_login_user(machine: Machine, user: str) -> None:
    machine.path.write_bytes(OTHERS)
    machine.own(machine.path)
    assert machine.call(user, _ansible_check_mode=True)["changed"]
    assert machine.path.read_bytes() == OTHERS
    answer = machine.call(user)
    assert answer["changed"]
    assert answer["host_keys"] == ["ssh-ed25519 AAAAhost"]
    assert machine.path.read_bytes().startswith(OTHERS)
    assert len(machine.ours()) == 2
    found = machine.path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (UID, GID, 0o600)
    assert (machine.root / "incoming").stat().st_uid == UID
    assert not machine.call(user)["changed"]
    removed = machine.call(user, keys={}, state="absent")
    assert removed["diff"][0]["after"] == OTHERS.decode()
    assert machine.path.read_bytes() == OTHERS


def test_a_user_without_a_folder_gets_one(machine: Machine) -> None:
    machine.path.parent.rmdir()
    assert not machine.call(keys={}, state="absent")["changed"]
    assert not machine.path.parent.exists()
    assert machine.call()["changed"]
    found = machine.path.parent.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (UID, GID, 0o700)


def test_lines_that_are_no_text_stay(machine: Machine) -> None:
    foreign = b"\xff\xfe\r\n# x\x0by\x1cz\n  ssh-rsa AAAA me"
    machine.path.write_bytes(foreign)
    machine.own(machine.path)
    machine.call()
    assert machine.path.read_bytes().startswith(foreign + b"\nrestrict,")
    machine.call(keys={}, state="absent")
    assert machine.path.read_bytes() == foreign + b"\n"


def test_an_older_releases_lines_are_replaced(machine: Machine) -> None:
    old = [
        f'restrict,command="old" ssh-ed25519 CCCC dlrm-fleet:lab:{m}\n' for m in ("read", "write")
    ]
    machine.path.write_text("".join(old) + OTHERS.decode())
    machine.own(machine.path)
    machine.call()
    assert machine.path.read_bytes().startswith(OTHERS)
    assert [line.startswith('restrict,from="192.0.2.20",') for line in machine.ours()] == [True] * 2


def test_removal_takes_the_lines_that_an_older_release_gave_root(machine: Machine) -> None:
    """It took root for the login user where the inventory named none."""
    folder = machine.home.parent / "root-home" / ".ssh"
    folder.mkdir(mode=0o700)
    lines = OTHERS + b"restrict ssh-ed25519 CCCC dlrm-fleet:lab:read\n"
    (folder / "authorized_keys").write_bytes(lines)
    machine.call()
    assert (folder / "authorized_keys").read_bytes() == lines
    assert machine.call(keys={}, state="absent")["changed"]
    assert (folder / "authorized_keys").read_bytes() == OTHERS


@pytest.mark.parametrize("user", ["", "-x", "a b", "$(id)"])
def test_nobody_takes_the_place_of_a_user_who_is_not_known(machine: Machine, user: str) -> None:
    answer = machine.call(user)
    assert answer["failed"]
    assert "cannot let the storage node in" in answer["msg"]
    assert ("Set ansible_user of that host" in answer["msg"]) == (user == "")


def test_a_link_in_place_of_the_file_shows_nothing_of_roots(machine: Machine) -> None:
    machine.path.symlink_to(machine.victim / "authorized_keys")
    machine.own(machine.path)
    machine.call()
    assert machine.is_unharmed()
    copies = [path for path in machine.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in copies if b"root's own" in path.read_bytes()] == []


def test_a_link_in_place_of_the_folder_leads_root_nowhere(machine: Machine) -> None:
    machine.path.parent.rmdir()
    machine.path.parent.symlink_to(machine.victim)
    machine.own(machine.path.parent)
    machine.call()
    assert machine.is_unharmed()


def test_a_link_under_a_temporary_name_leads_root_nowhere(machine: Machine) -> None:
    guessed = machine.path.with_name(f"authorized_keys.{os.getpid()}.partial")
    guessed.symlink_to(machine.victim / "authorized_keys")
    machine.own(guessed)
    machine.call()
    assert machine.is_unharmed()


def test_a_pipe_is_not_waited_for(machine: Machine) -> None:
    os.mkfifo(machine.path)
    machine.own(machine.path)

    def write() -> None:
        # Opening waits for a reader.
        with suppress(OSError):
            machine.path.write_text("from the pipe\n")

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    answer = machine.call()
    # Lets the writer go if nobody has read.
    os.close(os.open(machine.path, os.O_RDONLY | os.O_NONBLOCK))
    writer.join()
    assert "is not a regular file" in answer.get("msg", "it was read")


def test_a_link_in_place_of_incoming_is_refused(machine: Machine) -> None:
    (machine.root / "incoming").symlink_to(machine.victim)
    answer = machine.call()
    assert "it is a link" in answer["msg"]
    assert machine.is_unharmed()


def test_a_link_above_incoming_gives_no_folder_of_roots_away(machine: Machine) -> None:
    """The root folder lies in its owner's home, who puts a link in its place."""
    folder = machine.victim.parent / "spool"
    (folder / "incoming").mkdir(parents=True)
    root = machine.home / "dlrm"
    root.symlink_to(folder)
    machine.own(root)
    answer = machine.call(root=str(root))
    assert (folder / "incoming").stat().st_uid == os.geteuid(), answer
    if os.geteuid() == 0:
        assert f"cannot use {str(root)!r}: it is a link" in answer["msg"]


def test_a_home_where_root_has_no_rights(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system that takes root for nobody: root may change no owner there."""

    def refused_in_home(change: Any) -> Any:
        def changed(where: Any, *rest: Any, **more: Any) -> None:
            name = (
                str(Path(f"/proc/self/fd/{where}").readlink())
                if isinstance(where, int)
                else str(where)
            )
            if name.startswith(str(machine.home)):
                raise PermissionError(1, "Operation not permitted", name)
            change(where, *rest, **more)

        return changed

    for name in ("chown", "fchown"):
        monkeypatch.setattr(os, name, refused_in_home(getattr(os, name)))
    machine.call()
    assert machine.path.exists()
    assert len(machine.ours()) == 2
    assert machine.path.stat().st_uid == UID

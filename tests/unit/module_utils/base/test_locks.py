"""One lock between processes: waited for or refused, inherited or not, never of a removed file."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import ansible.module_utils
import pytest
from ansible.module_utils.dlrm_fleet.base.errors import DiskError
from ansible.module_utils.dlrm_fleet.base.locks import exclusive_lock


def is_held(path: Path) -> bool:
    try:
        with exclusive_lock(path, wait=False):
            return False
    except BlockingIOError:
        return True


@pytest.mark.parametrize("name", ["", "a.lock"], ids=["folder", "file"])
def test_it_is_held_until_the_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with exclusive_lock(path):
        assert is_held(path)
    assert not is_held(path)


def test_a_file_keeps_its_content_and_gets_the_mode(tmp_path: Path) -> None:
    (tmp_path / "a.partial").write_text("half")
    with exclusive_lock(tmp_path / "a.partial"), exclusive_lock(tmp_path / "b", mode=0o600):
        assert (tmp_path / "a.partial").read_text() == "half"
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_locked_is_named(tmp_path: Path) -> None:
    refused = pytest.raises(DiskError, match=r"cannot lock '.*/absent/a[.]lock': No such file")
    with refused, exclusive_lock(tmp_path / "absent" / "a.lock"):
        pass


def test_a_link_and_a_pipe_are_no_locks(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "new").symlink_to("absent")
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("link", "a link"), ("new", "a link"), ("pipe", "no regular file")):
        refused = pytest.raises(DiskError, match=f"cannot lock '.*/{name}': it is {why}")
        with refused, exclusive_lock(tmp_path / name):
            pass
    assert not (tmp_path / "absent").exists()


def test_a_lock_that_may_only_be_read_is_one() -> None:
    """As root left it, which was killed before it gave the file away."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0o644)
        os.seteuid(65534)
        try:
            with exclusive_lock(Path(file.name)):
                assert is_held(Path(file.name))
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("inherit", [True, False])
def test_a_killed_holders_program_holds_it_only_where_it_inherits(
    tmp_path: Path, inherit: bool
) -> None:
    path = tmp_path / "a.lock"
    holder = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "import ansible.module_utils\n"
        f"ansible.module_utils.__path__ = {list(ansible.module_utils.__path__)!r}\n"
        "from ansible.module_utils.dlrm_fleet.base.locks import exclusive_lock\n"
        f"with exclusive_lock(Path({str(path)!r}), inherit={inherit}):\n"
        "    subprocess.Popen(['cat'], close_fds=False)\n"
        "    os._exit(0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE)
    process.wait()
    assert is_held(path) is inherit
    assert process.stdin is not None
    # Its end is the end of cat as well, which frees the lock.
    process.stdin.close()
    with exclusive_lock(path):
        pass


def test_a_lock_on_a_removed_file_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    """Whoever waited finds another file at the path and has to wait for that one, too."""
    path = tmp_path / "x.partial"
    inside = threading.Event()

    def enter() -> None:
        with exclusive_lock(path):
            inside.set()

    with path.open("wb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        waiter = threading.Thread(target=enter)
        waiter.start()
        while not any(
            int(fd.name) != first.fileno() and fd.exists() and fd.samefile(path)
            for fd in Path("/proc/self/fd").iterdir()
        ):
            time.sleep(0.001)
        path.unlink()
        second = path.open("wb")
        fcntl.flock(second, fcntl.LOCK_EX)
    # The waiter now holds the removed file; it must not take it for the one at the path.
    assert not inside.wait(0.2)
    second.close()
    assert inside.wait(30)
    waiter.join(30)

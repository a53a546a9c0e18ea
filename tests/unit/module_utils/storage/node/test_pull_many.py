"""Many files at once: small ones in one rsync, large ones in streams, with real rsync."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import offers
import pytest
from ansible.module_utils.dlrm_fleet.base import disk
from ansible.module_utils.dlrm_fleet.base.commands import run_command
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node import pull
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.rsync import push_command, ssh_words

RUN_ID = "20260131T120000Z-0a1b2c"
LARGE = 40_000


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = folder / "host"
        self.root = folder / "storage"
        self.root.mkdir()
        self.commands: list[list[str]] = []
        self.promised: list[dict[str, Any]] = []

    def file(self, name: str, data: bytes) -> Path:
        """Many are called stage.json; only their folders differ."""
        path = self.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        promise = {"name": name, "path": str(path), "bytes": len(data), "sha256": digest}
        self.promised.append(promise)
        return path

    def run(self, command: list[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        return run_command(command)

    def fetch(self, streams: int = 2) -> int:
        storage = Pull(self.root, None, self.run)
        items = storage.items("arm-01", [], RUN_ID, offers.run_files(self.promised))
        return storage.apply_all(storage.plan(items), streams)

    def there(self) -> set[str]:
        top = self.root / "runs" / RUN_ID / "arm-01"
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(pull, "SMALL_BYTES", LARGE)
    return World(tmp_path)


def test_small_files_travel_in_one_rsync(world: World) -> None:
    for number in range(40):
        world.file(f"stages/{number}/stage.json", b"x" * number)
    assert world.fetch() == sum(range(40))
    assert len(world.commands) == 1
    assert len(world.there()) == 40
    assert list((world.root / "incoming").iterdir()) == []
    assert world.fetch() == 0
    assert len(world.commands) == 1


def test_a_long_list_is_cut_into_several(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "MANY_FILES", 3)
    for number in range(8):
        world.file(f"{number}", b"abc")
    world.fetch()
    assert len(world.commands) == 3
    assert len(world.there()) == 8


def test_large_files_travel_at_once(world: World) -> None:
    """Each transfer waits for the other, so the test ends only if both run at once."""
    together = threading.Barrier(2, timeout=60)
    for number in range(2):
        world.file(f"large{number}", bytes([number]) * LARGE)
    run = world.run

    def meeting(command: list[str]) -> tuple[int, str, str]:
        together.wait()
        return run(command)

    world.run = meeting  # type: ignore[method-assign]
    assert world.fetch(streams=2) == 2 * LARGE
    assert world.there() == {"large0", "large1"}


def test_small_files_travel_beside_the_large_and_are_none_of_their_streams(world: World) -> None:
    """The large file waits for the small ones; large files still go one after the other."""
    for number in range(2):
        world.file(f"small{number}", b"s")
        world.file(f"large{number}", bytes([number]) * LARGE)
    run, together, at_once = world.run, threading.Barrier(2, timeout=20), threading.Lock()
    large_ones: list[str] = []

    def meeting(command: list[str]) -> tuple[int, str, str]:
        large = "--append" in command
        if large:
            assert at_once.acquire(blocking=False), "two large files at once in one stream"
            large_ones.append(command[-1])
        if not large or len(large_ones) == 1:
            together.wait()
        try:
            return run(command)
        finally:
            if large:
                time.sleep(0.2)
                at_once.release()

    world.run = meeting  # type: ignore[method-assign]
    assert world.fetch(streams=1) == 2 * LARGE + 2
    assert world.there() == {"small0", "small1", "large0", "large1"}
    assert len(large_ones) == 2


def test_one_bad_file_is_named_and_the_others_arrive(world: World) -> None:
    for number in range(3):
        world.file(f"large{number}", bytes([number]) * LARGE)
    changed = Path(world.promised[1]["path"])
    changed.write_bytes(b"y" * LARGE)
    with pytest.raises(FleetError, match=f"refused '{changed}'"):
        world.fetch()
    assert world.there() == {"large0", "large2"}


def test_a_bad_small_file_leaves_nothing_under_its_name(world: World) -> None:
    for number in range(3):
        world.file(f"small{number}", bytes([number]) * 10)
    Path(world.promised[2]["path"]).write_bytes(b"y" * 10)
    with pytest.raises(FleetError, match="promises sha256"):
        world.fetch()
    assert "small2" not in world.there()
    assert list((world.root / "incoming").iterdir()) == []


def test_a_vanished_small_file_is_worded(world: World) -> None:
    for number in range(2):
        world.file(f"small{number}", b"x")
    Path(world.promised[0]["path"]).unlink()
    with pytest.raises(FleetError, match="2 files, the first .*there is no such file any more"):
        world.fetch()
    assert list((world.root / "incoming").iterdir()) == []


def test_streams_do_not_share_one_free_space(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file alone would fit."""
    for number in range(2):
        world.file(f"large{number}", bytes([number]) * LARGE)

    class Disk:
        f_bavail = disk.SPARE_BYTES + LARGE + 1
        f_frsize = 1

    monkeypatch.setattr("os.statvfs", lambda _path: Disk)
    with pytest.raises(FleetError, match="cannot fetch 2 files to"):
        world.fetch()
    assert world.commands == []


def test_a_bastion_is_reached_with_the_same_checks() -> None:
    source = {"address": "192.0.2.10", "user": "u", "key_file": "/k", "known_hosts_file": "/h"}
    words = ssh_words({**source, "jump": "b@192.0.2.5:2200"})
    [proxy] = [word for word in words if word.startswith("ProxyCommand=")]
    assert proxy.startswith("ProxyCommand=ssh -i /k -p 2200 -l b ")
    assert proxy.endswith("-W [%h]:%p 192.0.2.5")
    assert "StrictHostKeyChecking=yes" in proxy
    with pytest.raises(FleetError, match="cannot use the bastion"):
        ssh_words({**source, "jump": "b@x -o ProxyCommand=sh"})


def test_a_push_goes_into_incoming() -> None:
    source = {"address": "192.0.2.10", "user": "u", "key_file": "/k"}
    command = push_command(source, ["/store/a", "/store/b"], "/srv/dlrm")
    assert command[-4:] == ["--", "/store/a", "/store/b", "192.0.2.10:/srv/dlrm/incoming/"]

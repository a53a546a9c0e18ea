"""As many are served at once as there are places; a dead one's place is free again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node import slots
from ansible.module_utils.dlrm_fleet.storage.node.slots import place

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dlrm_fleet.storage.node.slots import place
with place(Path(sys.argv[2]), int(sys.argv[3])):
    print("served", flush=True)
    time.sleep(60)
"""
PACKAGES = Path(slots.__file__).resolve().parents[3]


@contextmanager
def another(root: Path, places: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is being served until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(PACKAGES), str(root), str(places)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "served\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_more_waits_until_a_served_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, served = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(slots.time, "sleep", lambda _seconds: looks.release())

    def wait() -> None:
        with place(tmp_path, 2):
            served.set()

    with another(tmp_path, 2) as first, another(tmp_path, 2):
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        # It has looked at all places twice and has none.
        assert looks.acquire(timeout=30) and looks.acquire(timeout=30)
        assert not served.is_set()
        first.kill()
        assert served.wait(30)
        waiting.join(30)


def test_a_place_is_given_back(tmp_path: Path) -> None:
    for _again in range(2):
        with place(tmp_path, 1):
            pass


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("not a folder")
    refused = pytest.raises(FleetError, match=r"cannot wait for a transfer in '.*incoming'")
    with refused, place(tmp_path, 1):
        pass

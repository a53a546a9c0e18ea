"""Transfers with the real rsync on this machine; only broken connections are simulated."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import offers
import pytest
from ansible.module_utils.dlrm_fleet.base import disk
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node import pull
from ansible.module_utils.dlrm_fleet.storage.node.pull import Item, Pull, Step

RUN_ID = "20260131T120000Z-0a1b2c"
DATA = os.urandom(300_000)


def run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def promise(path: Path, name: str, link: str | None = None, data: bytes = DATA) -> dict[str, Any]:
    found = {
        "name": name,
        "path": str(path),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return {**found, "link": link} if link else found


class Node:
    """A host's root and a storage root on one machine."""

    def __init__(self, folder: Path) -> None:
        self.host = folder / "host"
        self.root = folder / "storage"
        self.host.mkdir()
        self.root.mkdir()
        self.path = self.host / "model with space.pt"
        self.path.write_bytes(DATA)
        self.artifacts = [promise(self.path, "model.pt", "model/model.pt")]
        self.files: list[dict[str, Any]] = []
        self.commands: list[list[str]] = []
        self.storage = Pull(self.root, None, self.run)
        self.sha256 = self.artifacts[0]["sha256"]

    def run(self, command: list[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        return run(command)

    def plan(self, host: str = "arm-01") -> list[Step]:
        return self.storage.plan(self.offer(host, self.artifacts, self.files))

    def offer(
        self,
        host: str,
        artifacts: list[dict[str, Any]],
        files: list[dict[str, Any]],
        run_id: str = RUN_ID,
    ) -> list[Item]:
        return self.storage.items(
            host, offers.artifacts(artifacts), run_id, offers.run_files(files)
        )

    def fetch(self, host: str = "arm-01") -> int:
        return sum(self.storage.apply(step) for step in self.plan(host))

    def tree(self) -> set[str]:
        return {
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()
        }

    @property
    def stored(self) -> Path:
        return self.storage.store.stored(self.sha256)

    @property
    def partial(self) -> Path:
        return self.storage.partial(self.sha256)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_file_gets_its_place_and_its_readable_name(node: Node) -> None:
    assert node.fetch() == len(DATA)
    assert node.tree() == {
        f"store/sha256/{node.sha256[:2]}/{node.sha256}",
        "artifacts/arm-01/model/model.pt",
    }
    assert (node.root / "artifacts/arm-01/model/model.pt").read_bytes() == DATA
    assert node.stored.stat().st_mode & 0o777 == 0o444
    assert not (node.root / "artifacts/arm-01/model/model.pt").readlink().is_absolute()


def test_again_costs_nothing(node: Node) -> None:
    node.fetch()
    steps = node.plan()
    assert [step.changes for step in steps] == [False]
    assert steps[0].line() == "model.pt: reused, the storage node has it (0.3 MiB)"
    assert node.fetch() == 0
    assert len(node.commands) == 1


def test_an_equal_file_of_another_host_is_linked_only(node: Node) -> None:
    node.fetch("arm-01")
    step = node.plan("arm-02")[0]
    assert (step.action, step.relink) == ("reuse", True)
    assert step.line().endswith(", link made")
    assert node.fetch("arm-02") == 0
    assert len(node.commands) == 1
    assert (node.root / "artifacts/arm-02/model/model.pt").read_bytes() == DATA


def test_a_partial_file_is_gone_on_with(node: Node) -> None:
    node.partial.parent.mkdir()
    node.partial.write_bytes(DATA[:200_000])
    assert node.plan()[0].line() == "model.pt: resumed at 0.2 MiB of 0.3 MiB"
    assert node.fetch() == 100_000
    assert node.stored.read_bytes() == DATA
    assert not node.partial.exists()


def test_a_damaged_partial_file_is_fetched_anew(node: Node) -> None:
    node.partial.parent.mkdir()
    node.partial.write_bytes(b"x" * 200_000)
    assert node.fetch() == 100_000 + len(DATA)
    assert node.stored.read_bytes() == DATA


@pytest.mark.parametrize("extra", [0, 5])
def test_a_partial_file_of_full_length_or_more_is_not_trusted(node: Node, extra: int) -> None:
    node.partial.parent.mkdir()
    node.partial.write_bytes(b"x" * (len(DATA) + extra))
    assert node.fetch() == len(DATA)
    assert node.stored.read_bytes() == DATA


def test_a_complete_partial_file_needs_no_transfer(node: Node) -> None:
    node.partial.parent.mkdir()
    node.partial.write_bytes(DATA)
    assert node.fetch() == 0
    assert node.commands == []
    assert node.stored.read_bytes() == DATA


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"y" + DATA[1:], id="one byte flipped"),
        pytest.param(DATA[:-1], id="one byte cut"),
        pytest.param(DATA + b"z", id="one byte more"),
    ],
)
def test_other_content_than_promised_stays_out(node: Node, data: bytes) -> None:
    node.path.write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    with pytest.raises(FleetError) as caught:
        node.fetch()
    message = str(caught.value)
    assert message.startswith(
        f"refused '{node.path}': its stage.json promises sha256 {node.sha256}"
    )
    assert f"{len(DATA)} bytes, but the file that arrived has sha256 {found}" in message
    assert f"{found} and {len(data)} bytes and was not stored" in message
    assert node.tree() == set()


def test_a_vanished_source_is_worded_and_leaves_no_result(node: Node) -> None:
    node.path.unlink()
    with pytest.raises(FleetError, match="cannot fetch '.*model with space.pt' from this machine"):
        node.fetch()
    assert node.tree() == {f"incoming/{node.sha256}.partial"}


def test_an_empty_file_travels(node: Node) -> None:
    node.path.write_bytes(b"")
    node.artifacts = [promise(node.path, "model.pt", "model/model.pt", b"")]
    node.fetch()
    assert (node.root / "artifacts/arm-01/model/model.pt").read_bytes() == b""


def test_a_link_on_the_host_is_followed(node: Node) -> None:
    seed = node.host / "seed.pt"
    seed.symlink_to(node.path)
    node.artifacts = [promise(seed, "model.pt", "model/model.pt")]
    node.fetch()
    assert not node.stored.is_symlink()
    assert node.stored.read_bytes() == DATA


def test_a_killed_transfer_leaves_only_its_beginning(tmp_path: Path) -> None:
    """A real process is killed while rsync writes slowly; the next one completes the transfer."""
    node = Node(tmp_path)
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "data = open(sys.argv[-2], 'rb').read()\n"
        "out = open(sys.argv[-1], 'ab')\n"
        "out.write(data[:120000]); out.flush()\n"
        "time.sleep(600)\n"
    )
    script = tmp_path / "fetch.py"
    script.write_text(
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "import ansible.module_utils\n"
        f"ansible.module_utils.__path__.append({str(Path(pull.__file__).parents[3])!r})\n"
        "from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull\n"
        "from ansible.module_utils.dlrm_fleet.wire.fields import Fields\n"
        "from ansible.module_utils.dlrm_fleet.wire.host_answer import offered_artifacts\n"
        "def run(command):\n"
        f"    return subprocess.call([sys.executable, {str(slow)!r}, *command]), '', ''\n"
        f"storage = Pull(Path({str(node.root)!r}), None, run)\n"
        f"offer = Fields(dict(artifacts={node.artifacts!r}), 'cannot')\n"
        f"items = storage.items('arm-01', offered_artifacts(offer), {RUN_ID!r}, [])\n"
        "storage.apply(storage.plan(items)[0])\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 30
    while not (node.partial.exists() and node.partial.stat().st_size == 120_000):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert node.tree() == {f"incoming/{node.sha256}.partial"}
    assert node.fetch() == len(DATA) - 120_000
    assert node.stored.read_bytes() == DATA


def test_two_at_once_transfer_once(node: Node) -> None:
    node.partial.parent.mkdir()
    steps = node.plan()
    results: list[int] = []
    with node.partial.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threads = [
            threading.Thread(target=lambda: results.append(node.storage.apply(steps[0])))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        # Nobody may write while another process holds the file.
        assert node.commands == []
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, len(DATA)]
    assert len(node.commands) == 1
    assert node.stored.read_bytes() == DATA
    assert not node.partial.exists()


def test_run_files_go_to_the_runs_own_folder(node: Node) -> None:
    node.artifacts = []
    node.files = [promise(node.path, "performance/mlperf_log_summary.txt")]
    node.fetch()
    target = node.root / "runs" / RUN_ID / "arm-01" / "performance/mlperf_log_summary.txt"
    assert target.read_bytes() == DATA
    assert node.tree() == {str(target.relative_to(node.root))}
    assert node.plan()[0].changes is False


def test_a_run_file_that_changed_is_replaced_until_the_run_is_recorded(node: Node) -> None:
    node.artifacts = []
    node.files = [promise(node.path, "host.json")]
    node.fetch()
    node.path.write_bytes(b"new")
    node.files = [promise(node.path, "host.json", data=b"new")]
    node.fetch()
    folder = node.root / "runs" / RUN_ID / "arm-01"
    assert (folder / "host.json").read_bytes() == b"new"
    (folder / "run.json").write_text("{}")
    node.path.write_bytes(b"newer")
    node.files = [promise(node.path, "host.json", data=b"newer")]
    with pytest.raises(FleetError, match="the run is recorded and its folder is immutable"):
        node.fetch()
    assert (folder / "host.json").read_bytes() == b"new"


def test_a_users_file_under_a_readable_name_is_never_overwritten(node: Node) -> None:
    own = node.root / "artifacts/arm-01/model/model.pt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(FleetError, match="a file that is not ours has this name. Move it away"):
        node.fetch()
    assert own.read_text() == "mine"


@pytest.mark.parametrize(
    ("host", "name", "link"),
    [
        ("../x", "a", "model/a"),
        ("arm-01", "../../a", "model/a"),
        ("arm-01", "/etc/a", "model/a"),
        ("arm-01", "a", "model/../../a"),
        ("", "a", "model/a"),
        ("arm-01", "a//b", "model/a"),
    ],
)
def test_names_that_leave_their_folder_are_refused(
    node: Node, host: str, name: str, link: str
) -> None:
    artifacts = [promise(node.path, "a", link)]
    with pytest.raises(FleetError, match="as a folder's name|a relative path of plain names"):
        node.offer(host, artifacts, [promise(node.path, name)])


def test_artifacts_alone_belong_to_no_run(node: Node) -> None:
    [item] = node.offer("arm-01", node.artifacts, [], run_id="")
    assert item.sha256 == node.sha256
    with pytest.raises(FleetError, match="run_id '' as a folder's name"):
        node.offer("arm-01", [], [promise(node.path, "a")], run_id="")


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", "A" * 64])
def test_a_promise_that_is_no_sha256_is_refused(node: Node, sha256: str) -> None:
    with pytest.raises(FleetError, match="must be 64 hexadecimal digits"):
        node.offer("arm-01", [{**node.artifacts[0], "sha256": sha256}], [])


def test_a_full_disk_is_said_before_the_transfer(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "SPARE_BYTES", 1 << 62)
    with pytest.raises(FleetError, match=r"disk needs \d+\.\d\d GiB free, found \d+\.\d\d GiB"):
        node.fetch()
    assert node.commands == []


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_promised_size_that_is_wrong_is_refused(node: Node, difference: int) -> None:
    node.artifacts[0]["bytes"] += difference
    with pytest.raises(FleetError, match=f"arrived has sha256 {node.sha256} and 300000 bytes"):
        node.fetch()
    assert node.tree() == set()

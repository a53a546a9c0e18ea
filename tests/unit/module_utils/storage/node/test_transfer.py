"""A host brings what it promised, at a bearable pace; with real rsync on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import offers
import pytest
from ansible.module_utils.dlrm_fleet.base import commands
from ansible.module_utils.dlrm_fleet.base.commands import run_command, with_file_limit
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.node import transfer
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.node.transfer import run_transfer

RUN_ID = "20260131T120000Z-0a1b2c"
SLOW = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b"x")
        time.sleep(0.1)
"""


def test_a_trickle_is_ended_and_what_arrived_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LEAST_SECONDS", 1.0)
    target = tmp_path / "partial"
    rc, out, err = run_transfer([sys.executable, "-c", SLOW, str(target)])
    assert (rc, out) == (commands.INTERRUPTED, "")
    assert err == f"fewer than {transfer.LEAST_BYTES} bytes arrived in 1 s"
    assert target.stat().st_size > 0


def test_whoever_brings_enough_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes several of the times in which so many bytes have to arrive."""
    monkeypatch.setattr(transfer, "LEAST_SECONDS", 1.5)
    monkeypatch.setattr(transfer, "LEAST_BYTES", 1)
    target = tmp_path / "folder"
    target.mkdir()
    script = f'for number in $(seq 40); do echo x > "{target}/$number"; sleep 0.1; done'
    assert run_transfer(["sh", "-c", script, str(target)])[0] == 0
    assert len(list(target.iterdir())) == 40


def test_a_transfer_that_talks_without_end_is_ended(tmp_path: Path) -> None:
    rc, _out, err = run_transfer(["sh", "-c", "yes >&2", str(tmp_path / "none")])
    assert rc == commands.INTERRUPTED
    assert err == f"it says more than {commands.MOST_SAID} bytes"


def test_a_missing_program_is_told_as_a_shell_does(tmp_path: Path) -> None:
    assert run_transfer(["no-such-program", str(tmp_path)])[0] == 127
    rc, _out, err = run_transfer(with_file_limit(["no-such-program", str(tmp_path)], 1))
    assert rc == 127
    assert "not found" in err


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 100_000])
def test_a_file_of_its_size_is_written_and_a_larger_one_ends_the_writer(
    tmp_path: Path, size: int
) -> None:
    target = tmp_path / "file"
    for more, ends_well in ((0, True), (513, False)):
        command = ["dd", "if=/dev/zero", f"of={target}", f"bs={size + more}", "count=1"]
        rc, _out, _err = run_command(with_file_limit(command, size)) if size + more else (0, "", "")
        assert (rc == 0) is ends_well
        assert not target.exists() or target.stat().st_size <= size + 512


def test_a_file_without_end_is_cut_at_what_was_promised(tmp_path: Path) -> None:
    """A host promises some bytes; the file it then sends is a thousand times as large."""
    files: list[dict[str, Any]] = []
    for name in ("large.txt", "small.txt"):
        path = tmp_path / "host" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 50_000_000)
        promise = {"name": name, "path": str(path), "bytes": 50_000, "sha256": "ab" * 32}
        files.append(promise)
    arrived: list[int] = []

    def run(command: list[str]) -> tuple[int, str, str]:
        found = run_command(command)
        target = Path(command[-1])
        paths = target.rglob("*") if target.is_dir() else [target]
        arrived.extend(path.stat().st_size for path in paths if path.is_file())
        return found

    pull = Pull(tmp_path / "node", None, run)
    (tmp_path / "node").mkdir()
    for offered in (files[:1], files):
        items = pull.items("arm-01", [], RUN_ID, offers.run_files(offered))
        with pytest.raises(FleetError):
            pull.apply_all(pull.plan(items))
    assert arrived
    assert max(arrived) <= 50_000 + 512
    assert not list((tmp_path / "node" / "runs").rglob("*.txt"))

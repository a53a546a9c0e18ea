"""365 nightly runs by the product's own functions: all records stay, everything else is bounded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import made_run
import pytest
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.results import record
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.folder import StageFolder
from ansible.module_utils.dlrm_fleet.stages.links import ensure_links
from ansible.module_utils.dlrm_fleet.stages.retire import retire
from ansible.module_utils.dlrm_fleet.storage.node import spool
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.node.tidy import tidy
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import OfferedFile, offered_run_files

NIGHTS, KEEP_DAYS = 365, 30
HOST = "arm-01"
OWNER = Owner("1000:1000")
# So long ago that what was written just now is told from what was aged.
BEGIN = datetime(2001, 1, 1, 2, tzinfo=UTC)
CONTROLLER = {"id": "x@y", "machine_id": "x", "pid": 1, "pid_started": 1}


def copied(command: list[str]) -> tuple[int, str, str]:
    """Copies as rsync --relative would: '/./a/b' below the folder that is named last."""
    *sources, target = command[command.index("--") + 1 :]
    for source in sources:
        path = Path(target) / source.removeprefix("/./")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    return 0, "", ""


class Year:
    """One host and one storage node. Every file is as old as its night says."""

    def __init__(self, folder: Path) -> None:
        self.host, self.node = folder / "host", folder / "node"
        for path in (self.host, self.node):
            path.mkdir()

    def night(self, number: int) -> None:
        moment = BEGIN + timedelta(days=number)
        now = moment.timestamp()
        run_id = f"{moment:%Y%m%dT%H%M%SZ}-0a1b2c"
        runs = Runs(self.host)
        runs.open(run_id, "d" * 64, CONTROLLER, 3600, OWNER)
        retire(self.host, KEEP_DAYS, now)
        spool.write_entry(
            spool.entry_path(self.node, run_id, HOST), {"schema_version": 1, "run_id": run_id}
        )
        files = self.measured(run_id, number)
        self.pulled(run_id, files)
        runs.close(run_id, CONTROLLER, OWNER)
        self.left_by_accident(number)
        self.age(now)
        tidy(self.node, KEEP_DAYS, now)

    def measured(self, run_id: str, number: int) -> tuple[OfferedFile, ...]:
        folder = StageFolder(self.host, "performance", hashlib.sha256(run_id.encode()).hexdigest())
        attempt = folder.path / "attempts" / "1"
        attempt.mkdir(parents=True)
        (attempt / "log.txt").write_text("a log" * 100)
        (attempt / "request.json").write_text(json.dumps({"schema_version": 1, "run_id": run_id}))
        if number % 10 == 9:
            return ()  # It failed: the folder has no stage.json.
        (folder.path / "mlperf_log_summary.txt").write_text(f"samples of {run_id}")
        folder.manifest.write_text(json.dumps({"schema_version": 1, "run_id": run_id}))
        link = ("mlperf_log_summary.txt", "results/int8/mlperf_log_summary.txt")
        ensure_links(folder, [link], OWNER, check=False)
        offered = []
        for path in (folder.path / "mlperf_log_summary.txt", folder.manifest):
            content = path.read_bytes()
            offered.append(
                {
                    "name": f"performance/{path.name}",
                    "path": str(path),
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
        return offered_run_files(Fields({"run_files": offered}, "cannot use the offer"))

    def pulled(self, run_id: str, files: tuple[OfferedFile, ...]) -> None:
        pull = Pull(self.node, None, copied)
        pull.apply_all(pull.plan(pull.items(HOST, (), run_id, files)))
        folder = record.run_folder(self.node, run_id, HOST)
        made_run.write_record(folder, run_id, HOST)
        spool.mark_collected(self.node, run_id, HOST)

    def left_by_accident(self, number: int) -> None:
        """Once a week a transfer is killed and never continued."""
        if number % 7:
            return
        partial = hashlib.sha256(b"%d" % number).hexdigest()
        (self.node / "incoming").mkdir(exist_ok=True)
        (self.node / "incoming" / f"{partial}.partial").write_bytes(bytes(10_000))
        staging = self.node / "incoming" / f"{number}.1.partial" / "srv"
        staging.mkdir(parents=True)
        (staging / "file").write_bytes(bytes(1000))

    def age(self, now: float) -> None:
        """Gives what was written just now the night's time."""
        ten_years_later = BEGIN.timestamp() + 10 * 365 * 86_400
        for root in (self.host, self.node / "spool", self.node / "incoming"):
            for folder, folders, files in os.walk(root):
                for name in (*folders, *files):
                    path = f"{folder}/{name}"
                    if os.lstat(path).st_mtime > ten_years_later:
                        os.utime(path, (now, now), follow_symlinks=False)

    def size(self) -> tuple[int, int]:
        """(files, bytes) of all that is no record."""
        records = self.node / "runs"
        files = [
            path
            for root in (self.host, self.node)
            for path in root.rglob("*")
            if path.is_file() and not path.is_relative_to(records)
        ]
        return len(files), sum(path.lstat().st_size for path in files)


def test_a_year_of_nights_keeps_all_records_and_little_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A year of flushes takes minutes where others use the disk.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    year = Year(tmp_path)
    sizes = []
    for number in range(NIGHTS):
        year.night(number)
        if number in (KEEP_DAYS * 3, NIGHTS - 1):
            sizes.append(year.size())
    (files_early, bytes_early), (files_late, bytes_late) = sizes
    # The nights that failed and the accidents fall differently into the two windows.
    assert files_late <= files_early + 10
    assert bytes_late <= bytes_early * 1.2
    folders = sorted((year.node / "runs").glob(f"*/{HOST}"))
    assert len(folders) == NIGHTS
    assert all(record.is_complete(folder) for folder in folders)
    collected = list((year.node / "spool" / "collected").glob("*/*.json"))
    assert len(collected) == KEEP_DAYS + 1
    assert len(list((year.node / "spool" / "collected").iterdir())) == KEEP_DAYS + 1
    assert len(list((year.node / "incoming").glob("*.partial"))) <= 2 * (KEEP_DAYS // 7 + 1)
    runs = Runs(year.host).listed()
    assert [run["state"] for run in runs] == ["closed"] * (KEEP_DAYS + 1)
    assert len(list(year.host.glob("stages/performance/[!.]*"))) == KEEP_DAYS + 1
    newest = year.host / "results" / "int8" / "mlperf_log_summary.txt"
    assert newest.read_text().startswith("samples of 200112")


def test_without_a_setting_everything_stays(tmp_path: Path) -> None:
    year = Year(tmp_path)
    for number in range(3):
        year.night(number)
    far = (BEGIN + timedelta(days=5000)).timestamp()
    assert retire(year.host, 0, far) == []
    assert tidy(year.node, 0, far) == 0
    assert len(Runs(year.host).listed()) == 3


def test_the_published_results_stay_until_others_take_their_names(tmp_path: Path) -> None:
    year = Year(tmp_path)
    for number in range(3):
        year.night(number)
    far = (BEGIN + timedelta(days=5000)).timestamp()
    assert len(retire(year.host, KEEP_DAYS, far)) == 2
    assert (year.host / "results" / "int8" / "mlperf_log_summary.txt").read_text()
    assert len(list(year.host.glob("runs/*"))) == 1


def test_an_open_run_is_never_removed(tmp_path: Path) -> None:
    year = Year(tmp_path)
    run_id = "20010101T020000Z-0a1b2c"
    Runs(year.host).open(run_id, "d" * 64, CONTROLLER, 3600, OWNER)
    assert retire(year.host, 1, (BEGIN + timedelta(days=5000)).timestamp()) == []
    assert Runs(year.host).is_open(run_id)

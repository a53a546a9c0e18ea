"""Whatever writes on a storage node or host: each of its changes fails once; repeated, it ends."""

from __future__ import annotations

import atexit
import copy
import functools
import getpass
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_run
import pytest
from ansible.module_utils.dlrm_fleet.base.commands import run_command
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.results import on_host, record
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.retire import retire
from ansible.module_utils.dlrm_fleet.storage import key_files
from ansible.module_utils.dlrm_fleet.storage.host.authorized_keys import Account, change
from ansible.module_utils.dlrm_fleet.storage.host.restore import Restore
from ansible.module_utils.dlrm_fleet.storage.node import spool
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.node.push import Push
from ansible.module_utils.dlrm_fleet.storage.node.store import StageStore
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import (
    HostAnswer,
    OfferedStage,
    read_answer,
)
from ansible.module_utils.dlrm_fleet.wire.restore import RestorableStage
from broken_disk import FAULTS, survives_each_change

OWNER = Owner("1000:1000")
HOST, RUN_ID = "arm-01", made_run.RUN_ID
CONTROLLER = {"id": "x@y", "machine_id": "x", "pid": 1, "pid_started": 1}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

Operation = Callable[[Path], Any]


@functools.cache
def offer() -> HostAnswer:
    """Of a host with a finished run, which all tests read. It lies outside of the broken disk."""
    host = Path(tempfile.mkdtemp(prefix="dlrm-host-")) / "host"
    atexit.register(shutil.rmtree, host.parent, ignore_errors=True)
    made_run.make_root(host)
    request = made_run.request()
    found = on_host.find(host, made_run.CATALOGUE, request, RUN_ID, made_run.IMAGE, "aarch64")
    said = {
        "state": "lapsed",
        "deadline": "2026-01-31T14:00:00Z",
        "finished": True,
        "artifacts": on_host.artifacts(found, "aarch64")[:1],
        "stages": on_host.shared_stages(found, request),
        "run_files": on_host.run_files(found)[-3:],
    }
    return read_answer(Fields(said, "cannot use the answer"), STAGES)


def shared() -> list[OfferedStage]:
    """One stage with its files and one of which the manifest alone is kept."""
    return [one for one in offer().stages if one.document.stage in ("weights", "calibrate")]


def pull(root: Path) -> None:
    found = offer()
    puller = Pull(root / "storage", None, run_command)
    items = puller.items(HOST, found.artifacts, RUN_ID, found.run_files)
    puller.apply_all(puller.plan(items), 1)


def pull_one(root: Path) -> None:
    """As large files are pulled: in a stream of its own."""
    puller = Pull(root / "storage", None, run_command)
    puller.apply_all(puller.plan(puller.items(HOST, offer().artifacts, RUN_ID, ())), 1)


def pull_stages(root: Path) -> None:
    puller = Pull(root / "storage", None, run_command)
    puller.apply_all(puller.plan(puller.stage_items(shared(), [])), 1)


def keep(root: Path, makers: tuple[str, ...] = ()) -> None:
    _changed, refused = StageStore(root / "storage", makers).keep_all(HOST, shared())
    assert refused == []


def write_record(root: Path) -> None:
    folder = record.run_folder(root / "storage", RUN_ID, HOST)
    made_run.write_record(folder, RUN_ID, HOST)
    assert record.is_complete(folder)


def announce(root: Path) -> None:
    path = spool.entry_path(root / "storage", RUN_ID, HOST)
    spool.write_entry(path, {"schema_version": 1, "run_id": RUN_ID, "host": HOST})


def collected(root: Path) -> None:
    spool.mark_collected(root / "storage", RUN_ID, HOST)


def push(root: Path) -> None:
    files = {
        output.sha256: output.size
        for one in shared()
        if one.files
        for output in one.document.outputs
    }
    Push(root / "storage", "bench-02", str(root / "other"), None, run_command).send(files, 1)


def restore(root: Path) -> None:
    stages = [RestorableStage(one.document, one.files, HOST) for one in shared()]
    done = Restore(root / "other", OWNER, "storage-01", check=False).run(stages)
    assert (done.missing, done.refused) == ({}, [])


def open_run(root: Path) -> None:
    Runs(root / "host").open(RUN_ID, "d" * 64, CONTROLLER, 3600, OWNER)


def adopt_run(root: Path) -> None:
    other = {**CONTROLLER, "id": "z@y", "machine_id": "z"}
    Runs(root / "host", gone=[CONTROLLER]).open(RUN_ID, "d" * 64, other, 3600, OWNER)


def close_run(root: Path) -> None:
    Runs(root / "host").close(RUN_ID, CONTROLLER, OWNER)


def closed_long_ago(root: Path) -> None:
    close_run(root)
    folder = root / "host" / "stages" / "performance" / "a"
    (folder / "attempts" / "1").mkdir(parents=True)
    for path in (folder / "stage.json", folder / "attempts" / "1" / "request.json"):
        path.write_text(json.dumps({"schema_version": 1, "run_id": RUN_ID}))


def retire_run(root: Path) -> None:
    # A run of which a part was removed is never taken for one that is open.
    assert all(run["state"] == "closed" for run in Runs(root / "host").listed())
    retire(root / "host", 1, time.time() + 10 * 86_400)


def know_host(root: Path) -> None:
    key_files.know_host(root / "keys", {"address": "192.0.2.10", "port": 22, "keys": [KEY]})


def let_in(root: Path) -> None:
    who = Account(getpass.getuser(), os.geteuid(), os.getegid(), root / "home")
    change(who, lambda _text: f"restrict {KEY}\n".encode())


def made(root: Path) -> None:
    for name in ("storage", "host", "other/incoming", "home"):
        (root / name).mkdir(parents=True)


def kept_from_another(root: Path) -> None:
    """The INT8 model is kept from a host that may not make it any more, with other bytes."""
    document = next(one.document for one in offer().stages if one.document.stage == "calibrate")
    folder = root / "storage" / "stages" / "calibrate" / document.key[:16]
    other = hashlib.sha256(b"other").hexdigest()
    stage = copy.deepcopy(document.document)
    stage["outputs"][0].update(bytes=5, sha256=other)
    stored = root / "storage" / "store" / "sha256" / other[:2] / other
    for path in (folder, stored.parent):
        path.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(b"other")
    (folder / "dlrm_int8.pt").unlink(missing_ok=True)
    (folder / "dlrm_int8.pt").symlink_to(f"../../../store/sha256/{other[:2]}/{other}")
    (folder / "stage.json").write_text(json.dumps(stage))
    maker = {"schema_version": 1, "host": "arm-02"}
    folder.with_suffix(".maker.json").write_text(json.dumps(maker))


# Each operation, and what was done before it.
OPERATIONS: dict[str, tuple[Operation, list[Operation]]] = {
    "pull": (pull, []),
    "pull one": (pull_one, []),
    "keep": (keep, [pull_stages]),
    "keep in place of another host's": (
        functools.partial(keep, makers=(HOST,)),
        [pull_stages, kept_from_another],
    ),
    "announce": (announce, []),
    "record": (write_record, [pull]),
    "collected": (collected, [announce]),
    "push": (push, [pull_stages, keep]),
    "restore": (restore, [pull_stages, keep, push]),
    "open": (open_run, []),
    "adopt": (adopt_run, [open_run]),
    "close": (close_run, [open_run]),
    "retire": (retire_run, [open_run, closed_long_ago]),
    "known_hosts": (know_host, []),
    "authorized_keys": (let_in, []),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_whichever_change_fails_the_same_again_completes_it(
    name: str, fault: str, tmp_path: Path
) -> None:
    operation, before = OPERATIONS[name]
    template = tmp_path / "template"
    template.mkdir()
    for step in (made, *before):
        step(template)
    changes = survives_each_change(template, tmp_path, fault, operation)
    # What rsync changes is not seen: of a push to this machine, its folder and the start of rsync.
    least = 2 if name == "push" else 3
    assert changes >= least, "changes of the disk are no longer seen"

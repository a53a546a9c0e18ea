"""What a host's user or a container plants below the root harms neither root's files nor a command.

Each module answers, if only with a sentence: nothing is written through a link, nothing awaited.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from planted_host import GID, KINDS, TEXTS, UID, USER, Engine, Host, as_planter
from tiny.machine import RUN, request

import dlrm_result_info
import dlrm_run_info
import dlrm_stage_info
import dlrm_storage_access
import dlrm_storage_restore

ATTEMPT = "stages/made/KEY/attempts/1"
LINK = f"model/{os.uname().machine}_fp32.bin"
CONTENT = b"restored"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def prepared_host() -> Iterator[Host]:
    made = Host()
    made.prepare()
    made.keep()
    yield made
    made.remove()


@pytest.fixture
def host(prepared_host: Host) -> Iterator[Host]:
    yield prepared_host
    prepared_host.restore()


def look(host: Host) -> None:
    """The container runs; then it has ended, and its end is saved."""
    running = Engine(host.labels(), running=True)
    [seen] = watched(host, running)
    assert seen["state"] == "running"
    watched(host, Engine(host.labels()))


def watched(host: Host, engine: Engine) -> list[dict[str, Any]]:
    answer = host.call(dlrm_stage_info, engine, **host.asked(), stage="made")
    stages: list[dict[str, Any]] = answer.get("stages", [])
    return stages


def start(host: Host) -> None:
    host.stage()
    host.stage(Engine(host.labels()))


def finish(host: Host) -> None:
    """The stage is done: it is linked and judged."""
    for name in ("made.bin", "other.txt"):
        if not os.path.lexists(host.path(f"stages/made/KEY/{name}")):
            host.plant(f"stages/made/KEY/{name}", "empty")
    host.stage()
    host.call(dlrm_stage_info, **host.asked())
    result(host)


def result(host: Host) -> None:
    asked = host.asked()
    del asked["controller"]
    host.call(dlrm_result_info, **asked)


def hold(host: Host) -> None:
    host.open()
    host.call(dlrm_run_info, controller={**host.controller, "id": "other@there"})
    host.stage()
    host.open("closed")
    host.open()


def prepared(host: Host) -> None:
    host.ensure_root()
    host.ensure_root(home_user="0:0", home=str(host.vault.parent))


def restore(host: Host) -> None:
    host.call(
        dlrm_storage_restore,
        owner=USER,
        node="storage-01",
        stages=[{"document": stage_document(), "files": True}],
        sources={"/no/such/folder": [{"name": "a", "bytes": 1, "sha256": SHA256}]},
    )


def collect(host: Host) -> None:
    host.call(
        dlrm_storage_access,
        user="nobody",
        owner=USER,
        fleet="main",
        run_id=RUN,
        collect={"request": request()},
    )


def stage_document() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "stage": "dump",
        "key": "ab" * 32,
        "recipe": 1,
        "attempt": 1,
        "run_id": RUN,
        "parameters": {},
        "inputs": [],
        "outputs": [{"name": "sub/model.pt", "bytes": len(CONTENT), "sha256": SHA256}],
        "facts": {},
        "provenance": {},
        "started_at": "2026-01-31T12:00:00Z",
        "finished_at": "2026-01-31T13:00:00Z",
    }


# Where root reads or writes, and what makes it do so.
PLACES: list[tuple[str, Callable[[Host], None]]] = [
    ("host.json", prepared),
    ("host.json", finish),
    *[(name, prepared) for name in ("stages", "runs", "incoming", "data", "model", "results")],
    *[(name, hold) for name in ("runs", f"runs/{RUN}")],
    *[(f"runs/{RUN}/{name}", hold) for name in ("run.lock", "opened.json", "closed.json")],
    *[(name, start) for name in ("stages", "stages/made", "stages/made/KEY")],
    ("stages/made/.KEY.lock", start),
    *[(f"stages/made/KEY/{name}", start) for name in ("stage.json", "elsewhere.json", "attempts")],
    *[(f"stages/made/KEY/{name}", finish) for name in ("stage.json", "elsewhere.json")],
    ("stages/made/KEY/attempts/2", start),
    ("stages/made/KEY/attempts/7", look),
    *[
        (f"{ATTEMPT}/{name}", look)
        for name in ("log.txt", "exit.json", "request.json", "status.json", "scratch")
    ],
    *[(name, finish) for name in ("model", LINK, "data", "results")],
    *[(name, collect) for name in (f"runs/{RUN}", f"runs/{RUN}/collect.json")],
    *[("incoming", restore), (f"incoming/{SHA256}", restore)],
    *[
        (name, restore)
        for name in ("stages/dump", f"stages/dump/{'ab' * 8}", "source_elsewhere.json")
    ],
    *[
        (f"stages/dump/{'ab' * 8}/{name}", restore)
        for name in ("stage.json", "sub", "sub/model.pt")
    ],
    (f"stages/dump/.{'ab' * 8}.lock", restore),
]


CASES = [
    pytest.param(name, work, kind, id=f"{work.__name__}-{name}-{kind}")
    for name, work in PLACES
    for kind in KINDS
    if kind not in TEXTS or name.endswith((".json", ".lock"))
]


@pytest.mark.parametrize(("name", "work", "kind"), CASES)
def test_what_is_planted_harms_nothing_of_roots(
    host: Host, name: str, work: Callable[[Host], None], kind: str
) -> None:
    host.plant(name, kind)
    work(host)


@pytest.mark.parametrize("kind", ["link", "new", "pipe"])
@pytest.mark.parametrize("name", [f"runs/{RUN}/run.lock", "host.json", f"{ATTEMPT}/request.json"])
def test_a_temporary_file_has_no_name_that_can_be_guessed(host: Host, name: str, kind: str) -> None:
    """The planter knows the process id of the module that root is about to run."""

    def plant() -> None:
        host.plant(f"{name}.{os.getpid()}.partial", kind)

    host.path(name).unlink()
    host.ensure_root(before=plant)
    host.open(before=plant)
    shutil.rmtree(host.path("stages/made/KEY/attempts"))
    host.stage(before=plant)
    assert not host.path(name).is_symlink()


STATUS = {
    "schema_version": 1,
    "stage": "made",
    "key": "ab" * 32,
    "attempt": 1,
    "state": "failed",
    "phase": "at work",
    "percent": 42,
    "rate": 1234567,
    "unit": "rows/s",
    "eta_seconds": 48,
    "message": "cannot x: y. Do z.",
    "started_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "deadline": "2026-01-31T12:00:00Z",
}
WRONG: list[Any] = ["x", -1, 10**39, 1e300, True, None, [], {}, "2026-13-31T12:00:00Z", "a\x1b[31m"]


def status_of(host: Host, status: Any) -> str:
    path = host.path(f"{ATTEMPT}/status.json")
    path.unlink(missing_ok=True)
    with as_planter():
        path.write_text(json.dumps(status))
    [seen] = watched(host, Engine(host.labels(), running=True))
    assert seen["state"] == "running"
    return str(seen.get("lines", [seen.get("line")])[-1])


def test_a_status_that_is_sound_is_shown(host: Host) -> None:
    assert status_of(host, STATUS).startswith("made 42 % at work, 1.2 M rows/s, ")


@pytest.mark.parametrize("name", STATUS)
def test_a_wrong_status_counts_as_none_and_the_run_goes_on(host: Host, name: str) -> None:
    for value in WRONG:
        line = status_of(host, {**STATUS, name: value})
        assert line.isprintable()
    assert "starting" in status_of(host, {**STATUS, name: []})
    [seen] = watched(host, Engine(host.labels()))
    assert seen["message"].startswith("stage made failed with exit code 3")


def test_an_end_is_saved_although_the_container_planted_one(host: Host) -> None:
    host.plant(f"{ATTEMPT}/exit.json", "pipe")
    host.plant(f"{ATTEMPT}/log.txt", "link")
    [seen] = watched(host, Engine(host.labels()))
    assert (seen["state"], seen["cause"], seen["exit_code"]) == ("failed", "exception", 3)
    log = host.path(f"{ATTEMPT}/log.txt")
    assert log.read_bytes() == b"what the container said\n"
    assert (log.lstat().st_uid, log.lstat().st_gid) == (UID, GID)


def test_what_root_made_belongs_to_the_user(host: Host) -> None:
    host.stage()
    look(host)
    found = {path.lstat().st_uid for path in [host.root, *host.root.rglob("*")]}
    assert found == {UID}

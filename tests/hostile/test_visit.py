"""A visit of many hosts of which all but two lie: those two are served, and nobody is harmed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.documents import write_json_atomic
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.storage import program
from ansible.module_utils.dlrm_fleet.storage.host.answer import answer
from made_run import CATALOGUE, IMAGE, RUN_ID, make_root, request
from mutations import VALUES, damaged_bytes, places, replaced
from surroundings import Surroundings, around

# Says what lies under the host's name; runs rsync's other side as the host's gate does.
SSH = """#!/bin/bash
# Each option has a value.
while [[ $1 == -* ]]; do shift 2; done
host=${1#*@}; shift
if [[ $1 == dlrm-fleet* ]]; then exec cat ANSWERS/"$host"; fi
exec "$@"
"""


class Fleet:
    """A storage node that waits for one run of many hosts."""

    def __init__(self, world: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        bin_folder, self.answers = world.folder / "bin", world.folder / "answers"
        for folder in (bin_folder, self.answers):
            folder.mkdir()
        (bin_folder / "ssh").write_text(SSH.replace("ANSWERS", str(self.answers)))
        (bin_folder / "ssh").chmod(0o755)
        monkeypatch.setattr(program, "SAFE_PATH", f"{bin_folder}:{program.SAFE_PATH}")
        monkeypatch.setenv("PATH", os.environ["PATH"])
        self.root = world.host / "root"
        make_root(self.root)
        self._open()
        self.truth = answer(self.root, RUN_ID)

    def _open(self) -> None:
        run = self.root / "runs" / RUN_ID
        run.mkdir(parents=True)
        asked = {"catalogue": CATALOGUE, "request": request(), "image": {"name": IMAGE, "id": "i"}}
        write_json_atomic(run / "collect.json", {"schema_version": 1, **asked})
        lock = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "request_sha256": "a" * 64,
            "controller": {"id": "x@y", "machine_id": "x", "pid": 1, "pid_started": 1},
            "opened_at": "2026-01-31T12:00:00Z",
            "deadline": format_time(utc_now() + timedelta(seconds=60)),
            "lease_until": format_time(utc_now() - timedelta(seconds=60)),
        }
        write_json_atomic(run / "run.lock", lock)

    def waits_for(self, host: str, said: bytes) -> None:
        (self.answers / host).write_bytes(said)
        entry = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "host": host,
            "source": {
                "address": host,
                "user": "ubuntu",
                "port": 22,
                "key_file": "/nobody/key",
                "known_hosts_file": "/nobody/known_hosts",
            },
            "host_root": str(self.root),
            "request": request(),
            "request_sha256": "a" * 64,
            "controller": "x@y",
            "opened_at": "2026-01-31T12:00:00Z",
            "image": {"name": IMAGE, "id": "i"},
            "streams": 2,
        }
        folder = self.world.node / "spool" / RUN_ID
        folder.mkdir(parents=True, exist_ok=True)
        write_json_atomic(folder / f"{host}.json", entry)

    def record(self, host: str) -> dict[str, Any]:
        path = self.world.node / "runs" / RUN_ID / host / "run.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with around(tmp_path) as world:
        yield Fleet(world, monkeypatch)


def lies(truth: dict[str, Any], world: Surroundings) -> Iterator[bytes]:
    """Each place of the answer once, with one wrong value after another; and what is no JSON."""
    parts = ("artifacts", "stages", "run_files")
    short = {**truth, **{name: truth[name][:1] for name in parts}}
    victim = str(world.other / "precious")
    wrong = [victim, f"../../../../../../..{victim}", *VALUES]
    for number, at in enumerate(places(short)):
        for turn in (0, 1):
            value = wrong[turn] if number % 3 == turn else wrong[(7 * number + turn) % len(wrong)]
            yield json.dumps(replaced(short, at, value)).encode()
    yield from (content for _what, content in damaged_bytes(short))


def test_whatever_others_say_each_honest_host_is_served(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = ("a-honest", "z-honest")
    for host in honest:
        fleet.waits_for(host, json.dumps(fleet.truth).encode())
    said = list(lies(fleet.truth, fleet.world))
    for number, content in enumerate(said):
        fleet.waits_for(f"h{number:03d}", content)
    assert len(said) >= 120
    fleet.world.settle()
    program.main(["visit", str(fleet.world.node)])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert all(line.isprintable() for line in shown.out.splitlines())
    assert shown.out.count("\n") == len(said) + len(honest)
    for host in honest:
        assert fleet.record(host)["verdict"]["status"] == "passed", shown.out
        assert fleet.record(host)["host"]["name"] == host
    assert fleet.world.harm() == []
    keys = {path.name for path in fleet.world.node.glob("stages/*/*") if path.is_dir()}
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in keys)

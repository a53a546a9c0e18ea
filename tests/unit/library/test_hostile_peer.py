"""A damaged or hostile peer harms nothing but itself: through the modules that read its answers."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_run
import pytest
from module_runner import run_module

import dlrm_artifact
import dlrm_storage_push
import dlrm_storage_restore

RUN_ID = made_run.RUN_ID
STAGE = json.loads(
    (made_run.REPOSITORY / "docs" / "contracts" / "examples" / "stage.json").read_text()
)
OWNER = "65534:65534" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
ABSENT = "ab" * 32


class Place:
    """A storage node, a host, and a folder of neither that must stay as it is."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.node, self.host = folder / "node", folder / "host"
        for path in (self.node, self.host):
            path.mkdir()
        # So short that the sixteen characters which a key gives to a folder's name hold it all.
        self.other = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
        (self.other / "precious").write_text("mine")

    def file(self, name: str, content: bytes = b"chosen by the host") -> dict[str, Any]:
        path = self.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"name": path.name, "path": str(path), "bytes": len(content), "sha256": digest}

    def stage(self, content: bytes = b"chosen by the host") -> dict[str, Any]:
        """A finished stage of one file, as the host offers it."""
        found = self.file("stages/dump/a/model.pt", content)
        output = {"name": "model.pt", "bytes": found["bytes"], "sha256": found["sha256"]}
        document = {**copy.deepcopy(STAGE), "outputs": [output]}
        folder = str(Path(found["path"]).parent)
        return {"document": document, "folder": folder, "files": True, "source": None}

    def pull(self, **offer: Any) -> dict[str, Any]:
        arguments = {"storage_root": str(self.node), "host": "arm-01", "run_id": RUN_ID, **offer}
        return run_module(dlrm_artifact, self.capsys, **arguments)

    def restore(self, stages: list[Any], sources: dict[str, Any] | None = None) -> dict[str, Any]:
        return run_module(
            dlrm_storage_restore,
            self.capsys,
            root=str(self.host),
            owner=OWNER,
            stages=stages,
            sources=sources or {},
            node="storage-01",
        )

    def outside(self) -> dict[str, str]:
        """All that lies in the folder that is nobody's."""
        return {
            str(path.relative_to(self.other)): (
                f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
            )
            for path in self.other.rglob("*")
            if not path.is_dir()
        }

    def is_unharmed(self) -> bool:
        return self.outside() == {"precious": "mine"}


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    made = Place(tmp_path, capsys)
    yield made
    shutil.rmtree(made.other)


def refused(answer: dict[str, Any]) -> str:
    assert answer.get("failed"), answer
    assert "Traceback" not in str(answer["msg"])
    return str(answer["msg"])


def test_what_is_sound_is_taken(place: Place) -> None:
    stage = place.stage()
    run_file = {**place.file("summary.txt"), "name": "performance/summary.txt"}
    answer = place.pull(stages=[stage], run_files=[run_file])
    assert not answer.get("failed"), answer
    offer = [{"document": stage["document"], "files": True}]
    wanted = {stage["document"]["outputs"][0]["sha256"]: len(b"chosen by the host")}
    (place.host / "stages" / "dump" / "a" / "model.pt").unlink()
    assert place.restore(offer)["missing"] == wanted


def test_a_hosts_key_is_no_path_of_the_storage_node(place: Place) -> None:
    """The host brings a file, then says that a stage in a folder of the node consists of it."""
    good = place.stage()
    forged = copy.deepcopy(good)
    forged["document"].update(key=str(place.other))
    forged["document"]["outputs"][0]["name"] = "precious"
    place.pull(stages=[good, {**forged, "files": False}])
    assert place.is_unharmed()


# Sends what it is asked for but for the paths with '..': the host has no such file to send.
HOSTILE_RSYNC = """#!/bin/bash
words=()
for word in "$@"; do [[ $word == */../* ]] || words+=("$word"); done
exec REAL "${words[@]}"
"""


def test_a_hosts_promised_path_moves_no_file_of_the_storage_node(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files arrive in a folder of their own; '..' in a promised path leaves it."""
    real = shutil.which("rsync")
    assert real is not None
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "rsync"
    program.write_text(HOSTILE_RSYNC.replace("REAL", real))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    promise = {
        "name": "performance/stolen.txt",
        "path": f"{place.host}{'/..' * 40}{place.other / 'precious'}",
        "bytes": len("mine"),
        "sha256": hashlib.sha256(b"mine").hexdigest(),
    }
    files = [{**place.file(name), "name": f"performance/{name}"} for name in ("1.txt", "2.txt")]
    place.pull(run_files=[promise, *files])
    assert place.is_unharmed()
    assert not list(place.node.rglob("stolen.txt"))


@pytest.mark.parametrize("name", ["run.json", "SHA256SUMS", "verdict.json"])
def test_a_hosts_file_does_not_take_the_place_of_the_record(place: Place, name: str) -> None:
    message = refused(place.pull(run_files=[{**place.file("forged"), "name": name}]))
    assert "reserved" in message
    assert not list(place.node.rglob(name))


@pytest.mark.parametrize("asked", ["../../../keys/write", "/etc/passwd", "", "AB" * 32, "ab"])
def test_a_host_that_lacks_a_path_is_sent_nothing(place: Place, asked: str) -> None:
    """The store is asked for what it would hold under that 'sha256'."""
    key = place.node / "keys" / "write"
    key.parent.mkdir()
    key.write_text("a private key")
    (place.node / "store" / "sha256" / asked[:2]).mkdir(parents=True, exist_ok=True)
    (place.host / "incoming").mkdir()
    for path in (asked, str(key)):
        answer = run_module(
            dlrm_storage_push,
            place.capsys,
            storage_root=str(place.node),
            host="arm-01",
            host_root=str(place.host),
            files={path: key.stat().st_size},
        )
        assert "no sha256" in refused(answer)
    assert list((place.host / "incoming").iterdir()) == []


HARMFUL: list[Callable[[dict[str, Any], Path], None]] = [
    lambda document, other: document.update(stage=f"../../../{other.name}"),
    lambda document, other: document.update(stage=str(other)),
    lambda document, other: document.update(key=f"../../../{other.name}"),
    lambda document, other: document.update(key=str(other)),
    lambda document, other: document["outputs"][0].update(sha256=f"../../{other.name}/precious"),
    lambda document, other: document["outputs"][0].update(sha256=str(other / "precious")),
    lambda document, other: document["outputs"][0].update(name=f"../../../../{other.name}/new"),
]


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize("harm", HARMFUL)
def test_a_storage_nodes_restore_writes_nowhere_else(
    place: Place, harm: Callable[[dict[str, Any], Path], None], files: bool
) -> None:
    document = {**copy.deepcopy(STAGE), "outputs": [{"name": "a", "bytes": 4, "sha256": ABSENT}]}
    harm(document, place.other)
    (place.host / "incoming").mkdir()
    answer = place.restore([{"document": document, "files": files}])
    assert "cannot use what storage-01 offers" in refused(answer)
    assert place.is_unharmed()


@pytest.mark.parametrize("value", [{}, {"document": None}, {"document": [], "files": 1}])
def test_an_offer_of_another_shape_is_a_sentence(place: Place, value: Any) -> None:
    assert "cannot use what storage-01 offers" in refused(place.restore([value]))
    assert refused(place.pull(stages=[value]))
    assert place.is_unharmed()

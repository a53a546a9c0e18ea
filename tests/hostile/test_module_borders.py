"""Forged answers through the modules that read them: a sentence, and nothing changed elsewhere."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from documents import fullest
from module_runner import run_module
from mutations import at_place, places, replaced, reshaped
from surroundings import Surroundings, around

import dlrm_artifact
import dlrm_spool
import dlrm_storage_push
import dlrm_storage_restore
import schemas

RUN_ID = "20260131T120000Z-0a1b2c"
OWNER = "65534:65534" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
CONTENT = b"chosen by the peer"
SHA = hashlib.sha256(CONTENT).hexdigest()
NAN = float("nan")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Surroundings]:
    with around(tmp_path) as made:
        yield made


def hostile_values(world: Surroundings) -> list[Any]:
    """Few for each place, as each costs a module's start; the types get the others."""
    out = f"../../../../../../..{world.other}/precious"
    return [
        *(out, str(world.other / "precious"), str(world.other), f"a/{out}", "a\nb", "-rf", ""),
        *(NAN, None, 10**30, -1, [], {}, ["x"], {out: 1}, "\x1b]0;x\a", "a" * 5000, "run.json"),
    ]


def forged(world: Surroundings, document: Any) -> Iterator[tuple[str, Any]]:
    for at in list(places(document)):
        name = "/".join(map(str, at))
        for value in hostile_values(world):
            yield f"{name}: {ascii(value)[:60]}", replaced(document, at, value)
        for how, value in reshaped(at_place(document, at)):
            if not how.startswith(("too long", "with many")):
                yield f"{name}: {how}", replaced(document, at, value)


def told(module: ModuleType, capsys: pytest.CaptureFixture[str], **lie: Any) -> dict[str, Any]:
    """The module's answer; what it raises is one, too."""
    try:
        return run_module(module, capsys, **lie)
    except Exception as error:
        return {"failed": True, "msg": "it raised", "exception": repr(error)}


def is_sound(answer: dict[str, Any], what: str) -> bool:
    """True: the module took it. Otherwise it said why, and no traceback."""
    if not answer.get("failed"):
        return True
    message = str(answer["msg"])
    assert "exception" not in answer, (what, answer["exception"])
    assert "Traceback" not in message, (what, message)
    assert len(message) > 10, (what, message)
    return False


def offered(world: Surroundings) -> dict[str, Any]:
    """A host's answer of a stage and a run's file that are there."""
    answer: dict[str, Any] = copy.deepcopy(fullest(schemas.expanded("answer")))
    path = world.host / "stages" / "dump" / "a" / "model.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    true = {"path": str(path), "bytes": len(CONTENT), "sha256": SHA}
    answer["artifacts"][0].update(name="model.pt", link="model/model.pt", **true)
    answer["run_files"][0].update(name="performance/summary.txt", **true)
    output = {"name": "model.pt", "bytes": len(CONTENT), "sha256": SHA}
    answer["stages"][0].update(folder=str(path.parent), files=True)
    answer["stages"][0]["document"]["outputs"] = [output]
    return {name: answer[name] for name in ("artifacts", "stages", "run_files")}


def test_no_forged_answer_of_a_host_harms_the_storage_node(
    world: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"storage_root": str(world.node), "host": "arm-01", "run_id": RUN_ID}
    offer = offered(world)
    assert is_sound(told(dlrm_artifact, capsys, **given, **offer), "the whole offer")
    taken = refused = 0
    for name, part in offer.items():
        for what, value in forged(world, part):
            answer = told(dlrm_artifact, capsys, **given, **{name: value})
            assert world.harm() == [], f"{name}/{what}"
            sound = is_sound(answer, f"{name}/{what}")
            taken, refused = taken + sound, refused + (not sound)
    assert refused > 500 and taken > 0, (taken, refused)


def test_no_forged_offer_of_the_storage_node_harms_a_host(
    world: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"root": str(world.host), "owner": OWNER, "node": "storage-01"}
    document: dict[str, Any] = copy.deepcopy(fullest(schemas.expanded("restore")))
    document["stages"][0]["document"]["outputs"] = [
        {"name": "model.pt", "bytes": len(CONTENT), "sha256": SHA}
    ]
    incoming = world.host / "incoming"
    incoming.mkdir()
    taken = refused = 0
    for what, offer in forged(world, document):
        if not isinstance(offer, dict) or not set(offer) <= {"stages", "sources"}:
            continue
        (incoming / SHA).write_bytes(CONTENT)
        answer = told(dlrm_storage_restore, capsys, **given, **offer)
        assert world.harm() == [], what
        sound = is_sound(answer, what)
        taken, refused = taken + sound, refused + (not sound)
    assert refused > 500 and taken > 0, (taken, refused)


def test_no_forged_list_of_a_host_gets_it_a_file_that_is_not_its_own(
    world: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    key = world.node / "keys" / "write"
    key.parent.mkdir()
    key.write_text("a key of the fleet")
    stored = world.node / "store" / "sha256" / SHA[:2] / SHA
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
    (world.host / "incoming").mkdir()
    given = {"storage_root": str(world.node), "host": "arm-01", "host_root": str(world.host)}
    asked: dict[str, Any] = {SHA: len(CONTENT)}
    paths = ("../../../keys/write", str(key), f"{SHA[:2]}/../../../../keys/write", "", ".")
    for name in paths:
        size = key.stat().st_size
        answer = told(dlrm_storage_push, capsys, **given, files={**asked, name: size})
        assert not is_sound(answer, name)
    for what, files in forged(world, asked):
        is_sound(told(dlrm_storage_push, capsys, **given, files=files), what)
        assert {path.name for path in (world.host / "incoming").iterdir()} <= {SHA}, what
        assert world.harm() == [], what
    assert (world.host / "incoming" / SHA).read_bytes() == CONTENT


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_no_forged_host_key_says_anything_of_another_host(
    world: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = world.node / "keys" / "lab"
    folder.mkdir(parents=True)
    source = {"address": "192.0.2.7", "user": "ubuntu", "fleet_dir": str(folder)}
    given = {"storage_root": str(world.node), "host": "arm-01", "fleet": "lab", "source": source}
    given["folder"] = str(folder.parent)
    other = f"192.0.2.8 {KEY}"
    (folder / "known_hosts").write_text(f"{other}\n")
    assert is_sound(told(dlrm_spool, capsys, **given, host_keys=[KEY]), KEY)
    for what, keys in forged(world, [KEY, f"{KEY}\n192.0.2.8 {KEY}", f"@cert-authority * {KEY}"]):
        if not isinstance(keys, list):
            continue
        answer = told(dlrm_spool, capsys, **given, host_keys=keys)
        is_sound(answer, what)
        lines = (folder / "known_hosts").read_text().splitlines()
        assert {line for line in lines if not line.startswith("192.0.2.7 ")} == {other}, what
        assert all(len(line.split(" ")) == 3 for line in lines), what
        assert world.harm() == [], what
    assert len((folder / "known_hosts").read_text().splitlines()) == 2

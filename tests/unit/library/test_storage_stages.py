"""Which stages the storage node keeps, and what a host restores from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import made_run
import pytest
from ansible.module_utils.dlrm_fleet.base.commands import run_command
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.results import on_host as result
from ansible.module_utils.dlrm_fleet.stages.asked import Asked
from ansible.module_utils.dlrm_fleet.storage.host.restore import Restore, Restored
from ansible.module_utils.dlrm_fleet.storage.node.pull import Pull
from ansible.module_utils.dlrm_fleet.storage.node.push import Push
from ansible.module_utils.dlrm_fleet.storage.node.store import StageStore
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import offered_stages
from ansible.module_utils.dlrm_fleet.wire.restore import restorable_stages

import dlrm_storage_stages_info

OWNER = Owner("1000:1000")
FILES = {
    "calibrate": {"dlrm_int8.pt"},
    "dataset": {*made_run.outputs("dataset")},
    "dump": set(),
    "weights": set(),
}


def keep(folder: Path, precision: str = "int8", until: str = "calibrate") -> StageStore:
    """Brings a host's stages to the storage node with the product's own transfer."""
    root = folder / "maker"
    made_run.make_root(root, precision, until)
    request = made_run.request(precision)
    found = result.find(
        root, made_run.CATALOGUE, request, made_run.RUN_ID, made_run.IMAGE, "aarch64"
    )
    offer = {"stages": result.shared_stages(found, request)}
    stages = offered_stages(Fields(offer, "cannot use the offer"), STAGES)
    storage = Pull(folder / "store", None, run_command)
    storage.root.mkdir()
    storage.apply_all(storage.plan(storage.stage_items(stages, [])))
    assert storage.store.keep_all("bench-01", stages) == (True, [])
    assert storage.store.keep_all("bench-01", stages) == (False, [])
    return StageStore(storage.root)


def choose(
    store: StageStore, precision: str = "int8", tune: bool = False
) -> tuple[list[dict[str, Any]], list[str]]:
    request = made_run.request(precision, tune)
    wanted, missing = store.choose(made_run.CATALOGUE, request, "x86_64")
    return [one.as_dict() for one in wanted], missing


def restore(folder: Path, stages: list[dict[str, Any]], check: bool = False) -> Restored:
    (folder / "host").mkdir(exist_ok=True)
    offer = Fields({"stages": stages}, "cannot use the offer")
    offered = restorable_stages(offer, STAGES)
    return Restore(folder / "host", OWNER, "storage-01", check).run(offered)


def push(folder: Path, files: dict[str, int]) -> int:
    return Push(folder / "store", "bench-02", str(folder / "host"), None, run_command).send(files)


def files_of(stages: list[dict[str, Any]]) -> dict[str, set[str]]:
    return {
        one["document"]["stage"]: {out["name"] for out in one["document"]["outputs"]}
        if one["files"]
        else set()
        for one in stages
    }


def test_int8_needs_neither_weights_nor_dump(tmp_path: Path) -> None:
    stages, missing = choose(keep(tmp_path))
    assert missing == []
    assert files_of(stages) == FILES


def test_a_tuned_run_restores_the_same_and_no_tuning(tmp_path: Path) -> None:
    stages, missing = choose(keep(tmp_path), tune=True)
    assert missing == []
    assert files_of(stages) == FILES


def test_fp32_needs_the_dump_and_no_int8_model(tmp_path: Path) -> None:
    stages, missing = choose(keep(tmp_path), "fp32")
    assert missing == []
    assert files_of(stages) == {
        "weights": set(),
        "dataset": FILES["dataset"],
        "dump": {"dlrm-multihot-pytorch.pt"},
    }


def test_what_is_lacking_is_named_and_made_from_what_is_there(tmp_path: Path) -> None:
    stages, missing = choose(keep(tmp_path, until="dump"))
    [why] = missing
    assert why.startswith("calibrate (no result with key ")
    assert files_of(stages)["dump"] == {"dlrm-multihot-pytorch.pt"}


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    stages, missing = choose(StageStore(tmp_path))
    assert stages == []
    assert missing == [
        "calibrate (its key is known once dump is done and dataset is done)",
        "dataset (its key is known once weights is done)",
    ]


def test_what_is_made_once_a_fleet(tmp_path: Path) -> None:
    """Missing stages, forced stages, and the user's folder, which must be read for changes."""
    folder = {"kind": "folder", "path": "/data/day"}
    request = {
        **made_run.request(),
        "force_stages": ["dump"],
        "sources": {"weights_source": None, "data_source": folder},
    }
    params = {
        "storage_root": str(tmp_path),
        "catalogue": made_run.CATALOGUE,
        "request": request,
        "architecture": "",
        "makers": [],
    }
    found = dlrm_storage_stages_info.read(params, False)
    assert found["to_make"] == [*found["missing"], "dump", "/data/day is looked at"]
    assert found["missing"] != []
    made = [entry["name"] for entry in found["catalogue"]["stages"]]
    assert made == ["weights", "dataset", "dump", "calibrate"]
    assert found["catalogue"]["schema_version"] == made_run.CATALOGUE["schema_version"]


def test_a_file_that_went_away_is_not_offered(tmp_path: Path) -> None:
    store = keep(tmp_path)
    stages, _ = choose(store)
    sha256 = next(
        one["document"]["outputs"][0]["sha256"]
        for one in stages
        if one["document"]["stage"] == "calibrate"
    )
    store.stored(sha256).unlink()
    _, missing = choose(store)
    [why] = missing
    assert why == "calibrate (its files are not in the store)"


def test_restored_byte_for_byte_once(tmp_path: Path) -> None:
    stages, _ = choose(keep(tmp_path))
    first = restore(tmp_path, stages)
    assert first.changed
    assert push(tmp_path, first.missing) == sum(first.missing.values())
    done = restore(tmp_path, stages)
    assert (done.missing, done.refused) == ({}, [])
    for one in stages:
        name, key = one["document"]["stage"], one["document"]["key"]
        folder = tmp_path / "host/stages" / name / key[:16]
        if not one["files"]:
            assert {path.name for path in folder.iterdir()} == {"elsewhere.json"}
            continue
        for output, data in made_run.outputs(name).items():
            assert (folder / output).read_bytes() == data
        document = json.loads((folder / "stage.json").read_text())
        restored = document["provenance"].pop("restored")
        assert restored["from"] == "storage-01"
        assert document == one["document"]
    assert not any((tmp_path / "host/incoming").iterdir())
    again = restore(tmp_path, stages)
    assert (again.changed, again.missing) == (False, {})


def test_a_host_that_has_a_file_gets_the_others(tmp_path: Path) -> None:
    """The restore was killed between two renames, so stage.json is missing."""
    stages, _ = choose(keep(tmp_path))
    push(tmp_path, restore(tmp_path, stages).missing)
    restore(tmp_path, stages)
    dataset = next((tmp_path / "host/stages/dataset").glob("[!.]*"))
    (dataset / "stage.json").unlink()
    (dataset / "aggregation_trace.txt").unlink()
    found = restore(tmp_path, stages)
    assert list(found.missing.values()) == [
        len(made_run.outputs("dataset")["aggregation_trace.txt"])
    ]
    assert not (dataset / "stage.json").exists()
    push(tmp_path, found.missing)
    assert restore(tmp_path, stages).missing == {}
    assert (dataset / "stage.json").exists()


def test_check_mode_says_what_would_come(tmp_path: Path) -> None:
    stages, _ = choose(keep(tmp_path))
    found = restore(tmp_path, stages, check=True)
    assert found.changed
    assert len(found.missing) == 5
    assert list((tmp_path / "host").iterdir()) == []


def test_another_content_is_refused_and_the_damaged_store_named(tmp_path: Path) -> None:
    store = keep(tmp_path)
    stages, _ = choose(store)
    [sha256] = [
        one["document"]["outputs"][0]["sha256"]
        for one in stages
        if one["document"]["stage"] == "calibrate"
    ]
    stored = store.stored(sha256)
    stored.chmod(0o644)
    stored.write_bytes(b"INT8")
    push(tmp_path, restore(tmp_path, stages).missing)
    found = restore(tmp_path, stages)
    assert found.refused == [sha256]
    assert not list((tmp_path / "host/stages/calibrate").glob("*/stage.json"))
    sender = Push(store.root, "bench-02", str(tmp_path / "host"), None, run_command)
    with pytest.raises(FleetError, match="was moved aside as .*[.]damaged"):
        sender.verify(found.missing)
    _, missing = choose(store)
    assert missing == ["calibrate (its files are not in the store)"]


def test_a_cut_transfer_goes_on(tmp_path: Path) -> None:
    stages, _ = choose(keep(tmp_path))
    missing = restore(tmp_path, stages).missing
    sha256 = next(one for one, size in missing.items() if size > 4)
    whole = StageStore(tmp_path / "store").stored(sha256).read_bytes()
    (tmp_path / "host/incoming" / sha256).write_bytes(whole[:3])
    assert restore(tmp_path, stages).missing == missing
    push(tmp_path, missing)
    assert restore(tmp_path, stages).refused == []


def asked(folder: Path, force: tuple[str, ...] = ()) -> Asked:
    request = {**made_run.request(), "force_stages": list(force)}
    controller = {"id": "test"}
    return Asked(
        folder / "host", made_run.CATALOGUE, request, made_run.RUN_ID, made_run.IMAGE, controller
    )


def test_a_restored_host_makes_nothing_before_accuracy(tmp_path: Path) -> None:
    stages, _ = choose(keep(tmp_path))
    push(tmp_path, restore(tmp_path, stages).missing)
    assert asked(tmp_path).plan().spared("weights") is None, "its readers are not here yet"
    restore(tmp_path, stages)
    planned = {one.name: one for one in asked(tmp_path).plan().stages()}
    assert planned["accuracy"].key is not None
    for name in ("weights", "dump"):
        assert asked(tmp_path).plan().spared(name) is not None
    for name in ("dataset", "calibrate", "accuracy"):
        assert asked(tmp_path).plan().spared(name) is None
    assert asked(tmp_path, ("calibrate",)).plan().spared("dump") is None, "a forced stage reads it"


def test_a_restored_hosts_record_names_the_weights(tmp_path: Path) -> None:
    stages, _ = choose(keep(tmp_path))
    push(tmp_path, restore(tmp_path, stages).missing)
    restore(tmp_path, stages)
    root = tmp_path / "host"
    found = result.find(
        root, made_run.CATALOGUE, made_run.request(), made_run.RUN_ID, made_run.IMAGE, "x86_64"
    )
    assert {file["name"] for file in result.run_files(found)} == {
        f"stages/{name}.json" for name in FILES
    }
    assert {Path(one["path"]).name for one in result.artifacts(found, "x86_64")} == {
        *("dlrm_int8.pt", "terabyte_processed_test_v2_dense.bin"),
        "terabyte_processed_test_v2_label_sparse.bin",
    }
    shared = result.shared_stages(found, made_run.request())
    assert {one["document"]["stage"] for one in shared} == {"dataset", "calibrate"}


def test_a_users_folder_keeps_its_key_where_it_is_not(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    files = [{"name": "a", "bytes": 1, "sha256": "0" * 64}]
    assert store.source("/data/weights") is None
    assert store.keep_source("/data/weights", files)
    assert not store.keep_source("/data/weights", files)
    assert store.source("/data/weights") == files


def test_a_full_disk_is_refused_with_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages, _ = choose(keep(tmp_path))
    monkeypatch.setattr(
        "ansible.module_utils.dlrm_fleet.base.disk.os.statvfs",
        lambda _path: type("Stat", (), {"f_bavail": 1, "f_frsize": 4096})(),
    )
    with pytest.raises(FleetError, match=r"needs 0[.]25 GiB free, found 0[.]00 GiB"):
        restore(tmp_path, stages)
    shutil.rmtree(tmp_path / "host")

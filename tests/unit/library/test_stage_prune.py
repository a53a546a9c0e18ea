"""keep=needed: which files go, which stay, and that a killed removal loses nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_run
import pytest
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.results import on_host as result
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.asked import Asked, Start
from ansible.module_utils.dlrm_fleet.stages.attend import attend_stage
from ansible.module_utils.dlrm_fleet.stages.folder import StageFolder
from ansible.module_utils.dlrm_fleet.stages.view import StageView
from ansible.module_utils.dlrm_fleet.stages.watch import look
from ansible.module_utils.dlrm_fleet.storage.node.store import StageStore
from ansible.module_utils.dlrm_fleet.wire.stage_document import stage_document
from tiny.machine import CATALOGUE, NEXT_RUN, Machine

USER = "65534:65534" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
PREPARED = ("weights", "dataset", "dump", "calibrate")
CONTROLLER = {"id": "tester@here", "machine_id": "here", "pid": 1, "pid_started": 1}


class Engine:
    """None of the stages runs; `living`: containers of others."""

    def __init__(self) -> None:
        self.living: list[str] = []

    def containers(self, _stage: str, _key: str) -> list[Any]:
        return []

    def others(self, _key: str) -> list[Any]:
        return self.living

    def end_overdue(self, _containers: list[Any]) -> bool:
        return False


class Host:
    """A root whose stages are done."""

    def __init__(self, folder: Path, precision: str = "int8", until: str = "performance") -> None:
        folder.mkdir(exist_ok=True)
        self.root = folder / "root"
        self.engine: Any = Engine()
        made_run.make_root(self.root, precision, until)
        Runs(self.root).open(made_run.RUN_ID, "ab" * 32, CONTROLLER, 60, Owner(USER))
        self.precision = precision

    def asked(self, **changes: Any) -> Asked:
        asked = {
            **made_run.request(changes.pop("precision", self.precision)),
            **{"force_stages": [], "verify": False, "deadline_seconds": 60, "keep": "needed"},
            **changes,
        }
        run_id, image = made_run.RUN_ID, made_run.IMAGE
        return Asked(self.root, made_run.CATALOGUE, asked, run_id, image, CONTROLLER)

    def start(self, stage: str, check: bool = False, **changes: Any) -> StageView:
        start = Start(stage, USER, "2099-01-01T00:00:00Z", "node1", "c0ffee", False, check)
        return attend_stage(self.asked(**changes), start, self.engine, wait_seconds=0)

    def start_all(self, **changes: Any) -> dict[str, StageView]:
        return {stage: self.start(stage, **changes) for stage in PREPARED}

    def folder(self, stage: str) -> StageFolder:
        plan = self.asked().plan()
        key = plan.stage(stage).key
        assert key is not None
        return plan.folder(stage, key)

    def names(self, stage: str) -> set[str]:
        return {path.name for path in self.folder(stage).path.iterdir()}

    def whole(self) -> set[str]:
        return {stage for stage in PREPARED if self.folder(stage).examine()[0] is not None}


def keys(host: Host) -> dict[str, str | None]:
    return {one.name: one.key for one in host.asked().plan().stages()}


def test_by_default_everything_stays(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.start_all(keep="all")
    assert host.whole() == set(PREPARED)


def test_int8_keeps_what_the_measurement_reads(tmp_path: Path) -> None:
    host = Host(tmp_path)
    before = keys(host)
    results = host.start_all()
    assert host.whole() == {"dataset", "calibrate"}
    assert host.names("weights") == host.names("dump") == {"elsewhere.json"}
    assert keys(host) == before
    assert results["calibrate"].changed
    assert results["calibrate"].line.endswith(
        "; dump's files (4 B) removed, nothing later reads them (keep=needed)"
    )


def test_a_rerun_skips_what_was_removed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.start_all()
    again = host.start_all()
    assert {name: one.changed for name, one in again.items()} == dict.fromkeys(PREPARED, False)
    for stage in ("weights", "dump"):
        assert again[stage].state == "skipped"
        assert " was removed at 20" in again[stage].reason
    assert again["calibrate"].state == "done"


def test_the_survey_says_that_the_manifest_alone_is_here(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.start_all()
    [seen] = look(host.asked().plan(), host.engine, "dump", check=False)
    assert (seen.state, seen.reason) == ("absent", "only its manifest is here")


def test_fp32_measures_the_dump(tmp_path: Path) -> None:
    host = Host(tmp_path, "fp32")
    for stage in PREPARED[:3]:
        host.start(stage)
    assert host.names("weights") == {"elsewhere.json"}
    assert {"dlrm-multihot-pytorch.pt", "stage.json"} <= host.names("dump")


def test_weights_stay_until_the_last_reader_is_done(tmp_path: Path) -> None:
    host = Host(tmp_path, until="dataset")
    host.start("weights")
    host.start("dataset")
    assert "stage.json" in host.names("weights")


def test_what_another_request_needs_is_made_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.start_all()["dump"].state == "done"
    fp32 = host.asked(precision="fp32")
    for stage in ("weights", "dump"):
        assert host.asked().plan().spared(stage) is not None
        assert fp32.plan().spared(stage) is None


def test_a_reader_that_will_be_forced_still_needs_them(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.start("dataset", force_stages=["dump"])
    assert "stage.json" in host.names("weights")
    host.start_all(force_stages=["calibrate"])
    assert host.names("weights") == {"elsewhere.json"}
    assert "stage.json" in host.names("dump")


def test_a_damaged_reader_keeps_its_inputs(tmp_path: Path) -> None:
    host = Host(tmp_path)
    (host.folder("calibrate").path / "dlrm_int8.pt").write_bytes(b"INT8")
    [warning] = host.start("calibrate").warnings
    assert "dump stay although keep=needed: calibrate, which was made from them" in warning
    assert "wanted" in warning
    assert "stage.json" in host.names("dump")


def test_nothing_goes_beside_a_living_container(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.engine.living.append("somebody's")
    host.start_all()
    assert host.whole() == set(PREPARED)
    host.engine.living.clear()
    host.start_all()
    assert host.whole() == {"dataset", "calibrate"}


def test_check_mode_says_so_and_removes_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    found = host.start("calibrate", check=True)
    assert found.changed
    assert found.diff is not None
    assert "dump's files (4 B) removed" in found.diff["after"]
    assert host.whole() == set(PREPARED)


def test_a_users_files_and_links_stay(tmp_path: Path) -> None:
    host = Host(tmp_path)
    dump = host.folder("dump").path
    (dump / "mine.txt").write_text("mine")
    host.start("dump", keep="all")
    link = host.root / "model/dlrm-multihot-pytorch.pt"
    assert link.read_bytes() == b"fp32"
    host.start_all()
    assert not link.is_symlink(), "the seed's name would lead nowhere"
    assert host.names("dump") == {"elsewhere.json", "mine.txt"}
    own = tmp_path / "own.pt"
    own.write_text("own")
    host = Host(tmp_path / "second")
    link = host.root / "model/dlrm-multihot-pytorch.pt"
    link.parent.mkdir()
    link.symlink_to(own)
    host.start_all()
    assert link.read_text() == "own"


def test_files_behind_a_link_that_leaves_the_folder_stay(tmp_path: Path) -> None:
    host = Host(tmp_path)
    folder = host.folder("dump")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("mine")
    (folder.path / "linked").symlink_to(outside)
    document = folder.examine()[0]
    assert document is not None
    made = {"name": "linked/a", "bytes": 4, "sha256": "0" * 64}
    whole = {**document, "outputs": [*document["outputs"], made]}
    with pytest.raises(Exception, match="is a link to a place outside"):
        folder.release(whole, [])
    assert (outside / "a").read_text() == "mine"
    assert "stage.json" in host.names("dump")


class Killed(BaseException):
    """As a signal that nothing catches."""


STEPS = ("os.replace", "os.rename", "os.unlink", "os.rmdir", "os.fsync")


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], bool]:
    """Die at the n-th call that changes a folder; tells whether there were so many."""
    calls = 0

    def counted(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise Killed
            return whole(*args, **kwargs)

        return call

    for name in STEPS:
        monkeypatch.setattr(name, counted(getattr(os, name.removeprefix("os."))))
    return lambda: calls >= step


def test_killed_anywhere_it_goes_on_and_looks_whole_only_when_it_is(tmp_path: Path) -> None:
    """Each step of dump's removal in turn."""
    for step in range(1, 100):
        host = Host(tmp_path / str(step))
        before = keys(host)
        host.start("calibrate", keep="all")
        with pytest.MonkeyPatch.context() as patch:
            reached = kill_at(patch, step)
            with suppress(Killed):
                host.start("calibrate")
        folder = host.folder("dump")
        assert folder.manifest.exists() == (folder.examine()[0] is not None)
        assert folder.known() is not None
        assert keys(host) == before
        host.start_all()
        assert host.names("dump") == {"elsewhere.json"}
        assert host.whole() == {"dataset", "calibrate"}
        if not reached():
            return
    raise AssertionError("the removal has no end")


def test_the_storage_node_learns_the_manifests(tmp_path: Path) -> None:
    """Else no smaller machine could compute the INT8 model's key."""
    host = Host(tmp_path)
    host.start_all()
    found = result.find(
        host.root, made_run.CATALOGUE, host.asked().request, made_run.RUN_ID, made_run.IMAGE, "x"
    )
    shared = {
        one["document"]["stage"]: one for one in result.shared_stages(found, made_run.request())
    }
    travels = {"weights": False, "dataset": True, "dump": False, "calibrate": True}
    assert {name: one["files"] for name, one in shared.items()} == travels
    store = StageStore(tmp_path / "store")
    for one in shared.values():
        for output in one["document"]["outputs"] if one["files"] else []:
            stored = store.stored(output["sha256"])
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes((Path(one["folder"]) / output["name"]).read_bytes())
        store.keep(stage_document(one["document"], "cannot use the offer", STAGES), "arm-01")
    _, missing = store.choose(made_run.CATALOGUE, made_run.request(), "x86_64")
    assert missing == []


def test_on_an_engine_removed_files_are_made_again_when_something_needs_them(
    machine: Machine,
) -> None:
    stages = [one for one in CATALOGUE["stages"] if one["name"] in ("made", "derived")]
    machine.asked = replace(machine.asked, catalogue={**CATALOGUE, "stages": stages})
    machine.ask(keep="needed")
    for stage in ("made", "derived"):
        machine.finish(stage)
        machine.start(stage)
    made, derived = machine.folder("made"), machine.folder("derived")
    assert {path.name for path in made.path.iterdir()} == {"attempts", "elsewhere.json"}
    machine.open_run(NEXT_RUN)
    assert machine.start("made").state == "skipped"
    assert machine.start("derived").state == "done"
    (derived.path / "derived.bin").unlink()
    again = machine.start("made")
    assert (again.state, again.attempt) == ("running", 2)
    assert again.reason == "only its manifest is here, and its files are needed"
    machine.finish("made")
    assert machine.finish("derived").state == "done"
    assert (derived.path / "derived.bin").read_text() == "seed 1\nseed 1\n"
    assert machine.start("derived").changed
    assert not made.manifest.exists()

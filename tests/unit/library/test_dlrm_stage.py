"""Stages on a real engine: made once, attached to, told apart when they end badly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.view import StageView
from tiny.machine import NEXT_RUN, RUN, USER, Machine

import schemas

REPOSITORY = Path(__file__).resolve().parents[3]
LINK = f"model/{os.uname().machine}_fp32.bin"


def test_stage_is_made_once_and_the_reason_is_shown(machine: Machine) -> None:
    first = machine.start("made")
    assert (first.state, first.changed, first.attempt) == ("running", True, 1)
    assert first.diff is not None
    assert first.diff["before"] == "absent\n"
    assert first.diff["after"] == f"made by run {RUN}, attempt 1\n"
    assert machine.finish("made").state == "done"
    machine.open_run(NEXT_RUN)
    machine.start("made")
    again = machine.start("made")
    assert (again.state, again.changed, again.attempt) == ("done", False, 1)
    assert again.document is not None
    assert again.key is not None
    assert again.reason == (
        f"skipped because {again.key[:12]} made by run {RUN} at {again.document['finished_at']}"
    )
    assert machine.containers() == []


def test_files_belong_to_the_user_and_log_and_exit_are_kept(machine: Machine) -> None:
    machine.finish("made")
    folder = machine.folder("made")
    assert "stage made begins" in folder.log_path(1).read_text()
    ended = folder.attempt_document(1, "exit.json")
    assert ended is not None
    assert "stage made begins" in ended["log_tail"]
    assert (ended["exit_code"], ended["cause"], ended["oom_killed"]) == (0, "", False)
    uid = int(USER.split(":")[0])
    assert {path.lstat().st_uid for path in [machine.root, *machine.root.rglob("*")]} == {uid}


def test_links_are_made_repaired_and_never_over_a_users_file(machine: Machine) -> None:
    machine.finish("made")
    linked = machine.start("made")
    link = machine.root / LINK
    assert linked.changed
    assert link.readlink() == machine.folder("made").path / "made.bin"
    assert link.read_text() == "seed 1\n"
    link.unlink()
    link.symlink_to(f"{machine.root}/stages/made/older/made.bin")
    assert machine.start("made").changed
    assert link.read_text() == "seed 1\n"
    link.unlink()
    link.write_text("mine")
    kept = machine.start("made")
    assert not kept.changed
    assert link.read_text() == "mine"
    assert kept.warnings == [
        f"{link} is your own file: left in place; ours is {machine.folder('made').path}/made.bin."
    ]
    link.unlink()
    link.symlink_to("/etc/hostname")
    assert "your own link to /etc/hostname" in machine.start("made").warnings[0]


def test_one_byte_cut_is_remade_and_named(machine: Machine) -> None:
    machine.finish("made")
    folder = machine.folder("made")
    (folder.path / "made.bin").write_bytes(b"seed 1")
    result = machine.start("made")
    assert result.state == "running"
    assert result.reason == "remade because output 'made.bin' has 6 bytes, wanted 7"
    assert machine.finish("made").state == "done"
    assert (folder.path / "made.bin").read_text() == "seed 1\n"
    assert folder.attempts() == [1, 2]


def test_one_byte_flipped_is_found_with_verify_alone(machine: Machine) -> None:
    machine.finish("made")
    (machine.folder("made").path / "made.bin").write_bytes(b"seed 2\n")
    assert machine.start("made").state == "done"
    machine.ask(verify=True)
    result = machine.start("made")
    assert result.state == "running"
    assert result.reason.startswith("remade because output 'made.bin' has sha256 ")
    assert ", wanted " in result.reason
    machine.finish("made")
    assert (machine.folder("made").path / "made.bin").read_text() == "seed 1\n"
    assert machine.start("made").state == "done"


def test_removed_and_renamed_outputs_are_named(machine: Machine) -> None:
    machine.finish("made")
    (machine.folder("made").path / "other.txt").unlink()
    assert machine.start("made").reason == "remade because output 'other.txt' is missing"
    machine.finish("made")
    (machine.folder("made").manifest).write_text('{"schema_version": 1')
    assert "truncated" in machine.start("made").reason


def test_force_remakes_once_in_a_run(machine: Machine) -> None:
    machine.finish("made")
    assert machine.start("made", force=True).state == "done"
    machine.open_run(NEXT_RUN)
    forced = machine.start("made", force=True)
    assert forced.reason == f"remade by force; run {RUN} had made it"
    machine.finish("made", force=True)
    assert machine.start("made", force=True).state == "done"
    assert machine.folder("made").attempts() == [1, 2]


def test_a_result_stays_when_its_successor_cannot_start(machine: Machine) -> None:
    machine.finish("made")
    machine.open_run(NEXT_RUN)
    whole = machine.asked
    machine.asked = replace(machine.asked, image="dlrm-tiny:none")
    with pytest.raises(FleetError, match=r"image 'dlrm-tiny:none' is not on this host.*Run again"):
        machine.start("made", force=True)
    machine.asked = whole
    assert machine.start("made").state == "done"


def test_inputs_enter_the_key_and_are_mounted(machine: Machine) -> None:
    with pytest.raises(FleetError, match="key is known once made is done"):
        machine.start("derived")
    machine.finish("made")
    machine.finish("derived")
    derived = machine.folder("derived")
    assert (derived.path / "derived.bin").read_text() == "seed 1\nseed 1\n"
    request = derived.attempt_document(1, "request.json")
    assert request is not None
    assert [file["path"] for file in request["inputs"]["made"]] == ["/dlrm/inputs/made/made.bin"]
    machine.ask(parameters={"seed": 2})
    machine.finish("made")
    assert machine.folder("derived").key != derived.key


def test_a_cut_input_stops_what_needs_it(machine: Machine) -> None:
    machine.finish("made")
    (machine.folder("made").path / "made.bin").write_bytes(b"")
    with pytest.raises(FleetError, match="known once made is done"):
        machine.start("derived")


def test_two_starts_make_one_container(machine: Machine) -> None:
    results: list[StageView] = []
    threads = [
        threading.Thread(target=lambda: results.append(machine.start("waiting"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.state for result in results] == ["running"] * 4
    assert sorted(result.changed for result in results) == [False, False, False, True]
    assert len(machine.containers()) == 1
    assert machine.folder("waiting").attempts() == [1]


def test_another_run_attaches_and_says_who_started(machine: Machine) -> None:
    machine.start("waiting")
    machine.open_run(NEXT_RUN)
    result = machine.start("waiting")
    assert (result.state, result.changed) == ("running", False)
    assert result.reason == f"attached to attempt 1, started by run {RUN}"
    (machine.folder("waiting").path / "go").touch()
    assert machine.until("waiting", lambda seen: seen.state == "done").attempt == 1


def test_two_roots_on_one_engine_do_not_meet(machine: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other", machine.asked.image or "")
    try:
        machine.start("waiting")
        assert other.start("waiting").changed
        (other.folder("waiting").path / "go").touch()
        assert other.until("waiting", lambda seen: seen.state == "done").attempt == 1
        assert machine.watch("waiting").state == "running"
    finally:
        other.remove_containers()


def test_a_stage_survives_the_death_of_its_starter(machine: Machine) -> None:
    program = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "import conftest\n"
        "from pathlib import Path\n"
        "from tiny.machine import Machine\n"
        "m = Machine(Path(sys.argv[3]), sys.argv[4])\n"
        "print(m.start('waiting').state, flush=True)\n"
        "time.sleep(60)\n"
    )
    tests = Path(__file__).parents[2]
    root = machine.root.parent / "survivor"
    arguments = [str(tests), str(tests / "unit"), str(root), str(machine.asked.image)]
    starter = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "running\n"
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    heir = Machine.__new__(Machine)
    heir.__dict__.update(machine.__dict__, root=root, engine=type(machine.engine)(root))
    heir.asked = replace(machine.asked, root=root)
    try:
        assert Runs(root).listed()[0]["state"] == "orphaned"
        heir.open_run(RUN)
        assert heir.start("waiting").reason.startswith("attached to attempt 1")
        (heir.folder("waiting").path / "go").touch()
        assert heir.until("waiting", lambda seen: seen.state == "done").attempt == 1
    finally:
        heir.remove_containers()


def test_measured_stage_is_made_anew_in_each_run(machine: Machine) -> None:
    machine.finish("measured")
    machine.open_run(NEXT_RUN)
    assert machine.start("measured").state == "running"


def test_stage_that_does_not_apply_is_skipped(machine: Machine) -> None:
    result = machine.start("only_int8")
    assert (result.state, result.reason) == (
        "skipped",
        "not part of a request with precision=fp32",
    )
    assert machine.watch("only_int8").state == "skipped"


def test_container_is_confined(machine: Machine) -> None:
    machine.finish("made")
    machine.start("looking")
    (container,) = machine.containers()
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    folder = machine.folder("looking")
    assert container.name == f"dlrm-looking-{folder.key[:12]}-1"
    assert config["Cmd"][:3] == ["timeout", "-k", "30"]
    assert 0 < int(config["Cmd"][3]) <= 60
    assert config["Cmd"][4:] == ["dlrm-bench", "stage"]
    assert (host["Privileged"], host["Init"], host["AutoRemove"]) == (False, True, False)
    assert host["LogConfig"]["Config"]["max-size"] == "10m"
    assert {label for label in config["Labels"] if label.startswith("dlrm-fleet")} == {
        "dlrm-fleet",
        *(f"dlrm-fleet.{name}" for name in ("root", "stage", "key", "attempt", "run_id")),
        *(f"dlrm-fleet.{name}" for name in ("boot", "oom_kills", "ends")),
    }
    machine.finish("looking")
    seen = (folder.path / "seen").read_text().splitlines()
    assert ":".join(seen[:2]) == USER
    assert "CapEff:\t0000000000000000" in seen
    # Bit 23: SYS_NICE.
    assert "CapBnd:\t0000000000800000" in seen
    assert "NoNewPrivs:\t1" in seen
    assert "eth0" not in seen
    assert "lo" in seen
    assert [line for line in seen if line.startswith("writable")] == []
    assert "tmp works" in seen
    assert seen[-1] == "4096 8192"


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        pytest.param({"kind": "rclone", "remote": "r2:bucket"}, "default", id="remote"),
        pytest.param(None, "none", id="synthetic"),
    ],
)
def test_network_only_where_a_source_is_fetched(
    machine: Machine, source: dict[str, str] | None, mode: str
) -> None:
    machine.ask(sources={"weights_source": None, "data_source": source})
    machine.start("sourced")
    (container,) = machine.containers()
    assert container.attrs["HostConfig"]["NetworkMode"] == mode


def test_users_folder_is_hashed_mounted_and_its_content_makes_the_key(
    machine: Machine, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "day").write_text("clicks")
    machine.ask(
        sources={"weights_source": None, "data_source": {"kind": "folder", "path": str(data)}}
    )
    assert machine.finish("sourced").state == "done"
    folder = machine.folder("sourced")
    assert (folder.path / "all").read_text() == "clicks"
    (data / "day").write_text("others")
    machine.start("sourced")
    assert machine.folder("sourced").key != folder.key
    machine.ask(sources={"weights_source": None, "data_source": {"kind": "folder", "path": "/no"}})
    with pytest.raises(FleetError, match="'/no': it does not exist on this host"):
        machine.start("sourced")


def test_passed_deadline_and_root_user_are_refused(machine: Machine) -> None:
    machine.deadline = "2026-01-31T12:00:00Z"
    with pytest.raises(FleetError, match=r"deadline 2026-01-31T12:00:00Z passed .* ago"):
        machine.start("made")
    with pytest.raises(FleetError, match="never runs as root"):
        machine.owner.__class__("0:0")
    assert machine.folder("made").attempts() == []


def test_a_start_that_died_half_way_is_repeated(machine: Machine) -> None:
    machine.start("waiting")
    (container,) = machine.containers()
    labels = container.labels
    container.remove(force=True)
    machine.client.containers.create(str(machine.asked.image), ["x"], labels=labels)
    result = machine.start("waiting")
    assert (result.state, result.attempt) == ("running", 2)
    assert len(machine.containers()) == 1


def test_a_controller_that_lost_the_run_is_refused(machine: Machine) -> None:
    lock = Runs(machine.root).lock_path(RUN)
    document = json.loads(lock.read_text())
    document["controller"] = {**document["controller"], "id": "other@there", "pid": 1}
    lock.write_text(json.dumps(document))
    with pytest.raises(FleetError, match="no longer holds run .*: other@there .* adopted it"):
        machine.start("made")
    machine.asked = replace(machine.asked, run_id=NEXT_RUN)
    with pytest.raises(FleetError, match="not open on this host"):
        machine.start("made")


def test_documents_keep_the_contract(machine: Machine) -> None:
    machine.finish("made")
    machine.finish("derived")
    folder = machine.folder("derived")
    documents = {
        "request": folder.attempt_document(1, "request.json"),
        # The stand-in's own: what it promises must be what the real container promises.
        "status": folder.attempt_document(1, "status.json"),
        "stage": folder.examine()[0],
    }
    for name, document in documents.items():
        text = json.dumps(document).replace('"derived"', '"dump"').replace('"made"', '"weights"')
        schemas.validator(name).validate(json.loads(text))
    reader = (
        "import sys; from pathlib import Path; from dlrm_bench.frame.request import Request\n"
        "print(Request.read(Path(sys.argv[1])).inputs[0].path)"
    )
    path = folder.attempt_path(1) / "request.json"
    read = subprocess.run(
        [sys.executable, "-c", reader, str(path)],
        env={"PYTHONPATH": str(REPOSITORY / "benchmark/src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout == "/dlrm/inputs/made/made.bin\n"

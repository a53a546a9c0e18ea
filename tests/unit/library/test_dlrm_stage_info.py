"""Watching stages on a real engine: progress, news, and ends told apart."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError, disk_error
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.container import engine
from ansible.module_utils.dlrm_fleet.host.kernel import oom_kills
from ansible.module_utils.dlrm_fleet.runs import runs as run
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages import reap as stage_reap
from ansible.module_utils.dlrm_fleet.stages.view import StageView
from ansible.module_utils.dlrm_fleet.stages.watch import is_news, watch
from tiny.machine import CATALOGUE, RUN, SHA, Machine


@pytest.mark.parametrize(
    ("stage", "cause", "exit_code", "words"),
    [
        pytest.param("raising", "exception", 1, "cannot do x: boom. Do y.", id="exception"),
        pytest.param("full", "no space", 1, "Free 3 GiB", id="no space"),
        pytest.param("unsaid", "no space", 1, "No space left on device. Free 3", id="in the log"),
        pytest.param("mute", "no manifest", 0, "there is no stage.json", id="no manifest"),
        pytest.param("odd", "exception", 3, "its last line was 'last words'", id="no message"),
    ],
)
def test_failures_are_told_apart(
    machine: Machine, stage: str, cause: str, exit_code: int, words: str
) -> None:
    seen = machine.finish(stage)
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", cause, exit_code)
    assert words in seen.message
    assert f"stage {stage} begins" in seen.log_tail
    assert machine.containers() == []
    again = machine.start(stage)
    assert (again.state, again.attempt) == ("running", 2)
    assert again.reason == f"attempt 1 ended without a result ({cause})"
    log = machine.folder(stage).log_path(1)
    assert f"stage {stage} begins" in log.read_text()
    assert seen.message.endswith(f" Its log: {log}.")


def test_kill_from_outside_is_a_signal(machine: Machine) -> None:
    machine.start("waiting")
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    machine.containers()[0].kill()
    seen = machine.until("waiting", lambda seen: seen.state != "running")
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "signal 9", 137)
    assert "SIGKILL" in seen.message


def test_half_a_manifest_is_no_result(machine: Machine) -> None:
    seen = machine.finish("half")
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "no manifest", 0)
    assert "it is empty or truncated after 21 bytes" in seen.message
    again = machine.start("half")
    assert (again.state, again.attempt) == ("running", 2)
    assert again.reason.startswith("remade because cannot read")


def test_a_reboot_is_told_from_a_kill(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start("waiting")
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    machine.containers()[0].kill()
    # What the container was labelled with is another boot than this one.
    monkeypatch.setattr(stage_reap, "boot", lambda: "another boot")
    seen = machine.until("waiting", lambda seen: seen.state != "running")
    assert (seen.state, seen.cause) == ("failed", "host rebooted")
    assert "Run again: finished stages are kept." in seen.message
    assert machine.start("waiting").attempt == 2


def test_memory_that_ran_out_is_told(machine: Machine) -> None:
    """A real OOM kill: the container is given less memory than the stage takes."""
    machine.start("hungry")
    machine.until("hungry", lambda seen: "42 %" in seen.line)
    (container,) = machine.containers()
    container.update(mem_limit="16m", memswap_limit="16m")
    before = oom_kills()
    (machine.folder("hungry").path / "go").touch()
    seen = machine.until("hungry", lambda seen: seen.state != "running")
    assert oom_kills() > before
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "out of memory", 137)
    assert "the kernel killed a process of its container (exit code 137)" in seen.message


def test_memory_that_ran_out_is_told_where_the_engine_does_not_see_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit of its own a container is killed by the host's OOM, and no flag is set."""
    real = engine._read
    monkeypatch.setattr(engine, "_read", lambda raw: replace(real(raw), oom_killed=False))
    machine.start("hungry")
    machine.until("hungry", lambda seen: "42 %" in seen.line)
    machine.containers()[0].update(mem_limit="16m", memswap_limit="16m")
    (machine.folder("hungry").path / "go").touch()
    seen = machine.until("hungry", lambda seen: seen.state != "running")
    assert (seen.cause, seen.exit_code) == ("out of memory", 137)
    assert "for lack of memory on this host meanwhile (exit code 137)" in seen.message


def test_paths_are_the_users_own(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "clicks"
    data.mkdir()
    (data / "night").touch()
    source = {"kind": "folder", "path": str(data)}
    machine.ask(sources={"weights_source": None, "data_source": source})
    seen = machine.finish("lost")
    assert seen.message.startswith(f"cannot read '{data}/day': no such file. Do y.")
    assert seen.log_tail[-1] == f"opening {data}/day"


def test_log_tail_is_bounded_and_plain(machine: Machine) -> None:
    tail = machine.finish("wordy").log_tail
    assert len(tail) == 20
    assert tail[-1].startswith("line 30  [31m000")
    assert {len(line) for line in tail} == {200}
    assert max(len(line) for line in machine.folder("wordy").log_path(1).open()) > 300


def test_a_log_that_cannot_be_saved_keeps_the_container(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stage_reap.write_json_atomic

    def full(path: Path, document: dict[str, Any]) -> None:
        raise FleetError(f"cannot write {str(path)!r}", "No space left on device")

    monkeypatch.setattr(stage_reap, "write_json_atomic", full)
    seen = machine.finish("raising")
    assert (seen.state, seen.cause) == ("failed", "exception")
    assert seen.message.startswith("cannot do x: boom. Do y. cannot save the log of attempt 1 of")
    assert "No space left on device. Free space below the host's root" in seen.message
    assert len(machine.containers()) == 1
    with pytest.raises(FleetError, match="cannot save the log of attempt 1"):
        machine.start("raising")
    monkeypatch.setattr(stage_reap, "write_json_atomic", real)
    assert machine.start("raising").attempt == 2
    assert "boom" in machine.folder("raising").log_path(1).read_text()


def test_removed_container_is_told(machine: Machine) -> None:
    machine.start("waiting")
    machine.containers()[0].remove(force=True)
    seen = machine.watch("waiting")
    assert (seen.state, seen.cause) == ("failed", "engine gone")
    assert machine.start("waiting").attempt == 2


def test_deadline_holds_inside_the_container(machine: Machine) -> None:
    machine.deadline = format_time(utc_now() + timedelta(seconds=2))
    seen = machine.finish("waiting")
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "deadline", 124)
    assert "-e deadline=" in seen.message


def paused_beyond_its_deadline(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `timeout` is paused with it, so that it cannot end by itself."""
    machine.deadline = format_time(utc_now() + timedelta(seconds=2))
    machine.start("waiting")
    (container,) = machine.containers()
    container.pause()
    time.sleep(3)
    container.reload()
    assert container.status == "paused"
    monkeypatch.setattr(engine, "OVERDUE_SECONDS", 0)


def test_a_paused_container_is_ended_after_its_deadline(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused_beyond_its_deadline(machine, monkeypatch)
    [seen] = watch(machine.asked.plan(), machine.engine, "waiting", 0, "", check=True)
    assert (seen.state, machine.containers()[0].status) == ("running", "paused")
    seen = machine.watch("waiting")
    assert (seen.state, seen.cause) == ("failed", "deadline")
    # Once it goes on, its own timeout may be first.
    assert seen.exit_code in (124, 137)
    assert "-e deadline=" in seen.message
    assert machine.containers() == []


def test_a_paused_container_beyond_its_deadline_does_not_hold_up_another_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused_beyond_its_deadline(machine, monkeypatch)
    machine.deadline = format_time(utc_now() + timedelta(seconds=60))
    assert machine.finish("made").state == "done"
    again = machine.start("waiting")
    assert (again.attempt, again.reason) == (2, "attempt 1 ended without a result (deadline)")


def test_watch_words_progress_and_returns_on_news(machine: Machine) -> None:
    machine.start("waiting")
    seen = machine.until("waiting", lambda seen: "42 %" in seen.line)
    assert seen.line.startswith("waiting 42 % at work, 1.2 M rows/s, 0:0")
    assert "elapsed, 0:48 left, deadline in 0:0" in seen.line
    release = threading.Timer(0.5, (machine.folder("waiting").path / "go").touch)
    release.start()
    assert machine.watch("waiting", wait=25, token=seen.token).state == "done"
    release.join()


def test_watch_renews_the_lease(machine: Machine) -> None:
    lock = Runs(machine.root).lock_path(RUN)
    document = json.loads(lock.read_text())
    document["lease_until"] = format_time(utc_now() - timedelta(seconds=5))
    lock.write_text(json.dumps(document))
    assert Runs(machine.root).listed()[0]["state"] == "lapsed"
    machine.watch("made")
    assert Runs(machine.root).listed()[0]["state"] == "live"
    assert Runs(machine.root).listed()[0]["request_sha256"] == SHA


def test_a_lock_that_cannot_be_renewed_does_not_hide_the_stages_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> None:
        raise disk_error("cannot write 'run.lock'", OSError(28, "No space left on device"))

    machine.start("full")
    lock = Runs(machine.root).lock_path(RUN)
    document = {**json.loads(lock.read_text()), "lease_until": "2026-01-31T12:00:00Z"}
    lock.write_text(json.dumps(document))
    monkeypatch.setattr(run, "write_lock", full)
    seen = machine.until("full", lambda seen: seen.state != "running")
    assert (seen.state, seen.cause) == ("failed", "no space")
    with pytest.raises(FleetError, match="cannot write 'run.lock': No space left"):
        machine.start("full")


def test_watch_waits_for_an_engine_that_does_not_answer(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.finish("made")
    machine.engine.__dict__["_client"] = None
    monkeypatch.setenv("DOCKER_HOST", f"unix://{machine.root}/no.sock")
    seen = machine.watch("waiting")
    assert seen.state == "unknown"
    assert "cannot reach the container engine" in seen.line
    assert machine.watch("made").state == "done"
    machine.engine.__dict__["_client"] = machine.client


def test_attempt_age_is_said_when_nothing_is_heard(machine: Machine) -> None:
    machine.start("waiting")
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    path = machine.folder("waiting").attempt_path(1) / "status.json"
    status = json.loads(path.read_text())
    status["updated_at"] = format_time(utc_now() - timedelta(seconds=75))
    path.write_text(json.dumps(status))
    assert machine.watch("waiting").line.endswith("last status 1:15 ago")


@pytest.mark.parametrize(
    ("stage", "new", "waited", "news"),
    [
        pytest.param("made", "made=running/1 42% a", 100, False, id="nothing new"),
        pytest.param("made", "made=done/1", 0, True, id="state"),
        pytest.param("made", "made=running/2 42% a", 0, True, id="attempt"),
        pytest.param("made", "made=running/1 43% a", 1, False, id="percent at once"),
        pytest.param("made", "made=running/1 43% a", 5, True, id="percent after a while"),
        pytest.param("measured", "made=running/1 43% a", 14, False, id="measured"),
        pytest.param("measured", "made=done/1", 0, True, id="measured and done"),
    ],
)
def test_what_is_news(stage: str, new: str, waited: float, news: bool) -> None:
    seen = [StageView(stage, "running")]
    assert is_news(CATALOGUE, seen, "made=running/1 42% a", new, waited) is news

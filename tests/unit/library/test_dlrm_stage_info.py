"""Watching stages on a real engine: progress, news, and ends told apart."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from ansible.module_utils.dlrm_fleet.documents import format_time, utc_now
from ansible.module_utils.dlrm_fleet.run import Runs
from ansible.module_utils.dlrm_fleet.stage_watch import Seen, is_news
from tiny.machine import CATALOGUE, RUN, SHA, Machine


@pytest.mark.parametrize(
    ("stage", "cause", "exit_code", "words"),
    [
        pytest.param("raising", "exception", 1, "cannot do x: boom. Do y.", id="exception"),
        pytest.param("full", "no space", 1, "Free 3 GiB", id="no space"),
        pytest.param("mute", "no manifest", 0, "without stage.json", id="no manifest"),
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
    assert f"stage {stage} begins" in machine.folder(stage).log_tail(1)


def test_kill_from_outside_is_a_signal(machine: Machine) -> None:
    machine.start("waiting")
    machine.until("waiting", lambda seen: "42 %" in seen.line)
    machine.containers()[0].kill()
    seen = machine.until("waiting", lambda seen: seen.state != "running")
    assert (seen.state, seen.cause, seen.exit_code) == ("failed", "signal 9", 137)
    assert "SIGKILL" in seen.message


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
    seen = [Seen(stage, "running")]
    assert is_news(CATALOGUE, seen, "made=running/1 42% a", new, waited) is news

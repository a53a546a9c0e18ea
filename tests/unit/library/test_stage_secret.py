"""The secret of a source reaches its stage's container as a file in memory, and nothing else."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.stages import secrets
from tiny.machine import NEXT_RUN, USER, Machine

MD5 = "0123456789abcdef" * 2
SIGNATURE = "5167a7d3b0c4fe11"
PLAIN = "https://data.example.com/day_23.npz"
SOURCE = {"kind": "urls", "urls": [{"url": PLAIN, "md5": MD5, "name": "day_23.npz"}]}
TEXT = f"{PLAIN}?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands for /run/dlrm."""
    folder = tmp_path / "run"
    monkeypatch.setattr(secrets, "PLACE", folder)
    yield folder


@pytest.fixture
def asked(machine: Machine, place: Path) -> Machine:
    machine.ask(sources={"weights_source": None, "data_source": SOURCE})
    return machine


def left(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


def end(machine: Machine, name: str) -> None:
    (machine.folder(name).path / "go").touch()
    machine.until(name, lambda seen: seen.state not in ("running", "unknown"))


def test_only_the_containers_user_can_read_it_while_the_stage_runs(
    asked: Machine, place: Path
) -> None:
    asked.start("telling", secret=TEXT)
    (file,) = left(place)
    found = file.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert f"{found.st_uid}:{found.st_gid}" == USER
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert json.loads(file.read_text())["urls"] == {PLAIN: TEXT.strip()}
    (container,) = asked.containers()
    assert {m["Source"] for m in container.attrs["Mounts"] if not m["RW"]} >= {str(file)}
    end(asked, "telling")
    assert left(place) == []


def test_neither_container_nor_processes_nor_documents_show_it(asked: Machine, place: Path) -> None:
    view = asked.start("telling", secret=TEXT)
    (container,) = asked.containers()
    assert SIGNATURE not in json.dumps(container.attrs)
    listed = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    assert SIGNATURE not in listed
    assert SIGNATURE not in repr(view)
    end(asked, "telling")
    seen = asked.watch("telling")
    assert seen.state == "failed"
    assert "cannot fetch: {schema_version: 1, urls: {" in seen.message
    assert SIGNATURE not in repr(seen)
    kept = [path for path in asked.root.rglob("*") if path.is_file()]
    assert {"log.txt", "exit.json", "request.json"} <= {path.name for path in kept}
    # The stand-in's own status.json: the real container hides what it says.
    shown = [path for path in kept if path.name != "status.json"]
    assert [path for path in shown if SIGNATURE in path.read_text(errors="replace")] == []
    assert "got {" in asked.folder("telling").log_path(1).read_text()


def test_a_new_signature_changes_neither_key_nor_request(asked: Machine, place: Path) -> None:
    asked.start("telling", secret=TEXT)
    first = asked.folder("telling")
    end(asked, "telling")
    asked.start("telling", secret=TEXT.replace(SIGNATURE, "0" * 16))
    end(asked, "telling")
    assert asked.folder("telling").key == first.key
    one, two = (first.attempt_document(number, "request.json") or {} for number in (1, 2))
    for document in (one, two):
        for changing in ("attempt", "created_at"):
            del document[changing]
    assert one == two


def test_other_stages_get_none_and_what_a_kill_left_goes(asked: Machine, place: Path) -> None:
    asked.start("telling", secret=TEXT)
    (file,) = left(place)
    (container,) = asked.containers()
    container.remove(force=True)
    asked.open_run(NEXT_RUN)
    asked.finish("made")
    assert left(place) == []
    assert not file.exists()


def test_a_container_that_vanished_leaves_none(asked: Machine, place: Path) -> None:
    asked.start("telling", secret=TEXT)
    (container,) = asked.containers()
    container.remove(force=True)
    assert asked.watch("telling").cause == "engine gone"
    assert left(place) == []


def test_check_mode_writes_none(asked: Machine, place: Path) -> None:
    view = asked.start("telling", secret=TEXT, check=True)
    assert view.state == "would_run"
    assert SIGNATURE not in repr(view)
    assert not place.exists()


def test_a_secret_that_does_not_fit_starts_nothing(asked: Machine, place: Path) -> None:
    with pytest.raises(FleetError, match="cannot use the secret of stage 'telling': line 1 fits"):
        asked.start("telling", secret=TEXT.replace("day_23", "day_22"))
    assert asked.folder("telling").attempts() == []
    assert not place.exists()


def test_a_folder_that_somebody_else_may_write_is_not_used(asked: Machine, place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(FleetError, match="it is not a folder that only its user can write"):
        asked.start("telling", secret=TEXT)
    assert left(place) == []
    assert asked.watch("telling").cause == "not started"


def test_a_planted_link_is_not_followed(asked: Machine, place: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    place.symlink_to(target)
    with pytest.raises(FleetError, match="it is not a folder that only its user can write"):
        asked.start("telling", secret=TEXT)
    assert list(target.iterdir()) == []

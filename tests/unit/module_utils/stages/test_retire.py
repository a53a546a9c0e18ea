"""What a container wrote of its run is read strictly before anything is removed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.stages.retire import DAY_SECONDS, retire

OLD, NEW = "20260101T000000Z-0a1b2c", "20260301T000000Z-0a1b2c"
NOW = 1_780_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One run was closed long ago, another one just now. The old one made one folder."""
    for run_id, age in ((OLD, 40), (NEW, 0)):
        closed = tmp_path / "runs" / run_id / "closed.json"
        closed.parent.mkdir(parents=True)
        closed.write_text("{}")
        os.utime(closed, (NOW - age * DAY_SECONDS,) * 2)
    made(tmp_path, "a" * 16, f'{{"schema_version": 1, "run_id": "{OLD}"}}')
    return tmp_path


def made(root: Path, key: str, text: str, name: str = "stage.json") -> Path:
    path = root / "stages" / "performance" / key / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return root / "stages" / "performance" / key


@pytest.mark.parametrize(
    "text",
    [
        f'{{"schema_version": 1, "run_id": "{NEW}", "run_id": "{OLD}"}}',
        f'{{"schema_version": 1, "run_id": "{OLD}", "facts": NaN}}',
        f'{{"schema_version": 1, "run_id": "{OLD}", "deep": {"[" * 90 + "]" * 90}}}',
        f'{{"schema_version": 1, "run_id": ["{OLD}"]}}',
        f'{{"schema_version": 1, "run_id": "{OLD}\\n"}}',
        '{"schema_version": 1}',
        "[" * 100_000,
        "",
    ],
)
@pytest.mark.parametrize("name", ["stage.json", "attempts/1/request.json"])
def test_a_folder_whose_run_is_not_told_strictly_stays(root: Path, text: str, name: str) -> None:
    folder = made(root, "b" * 16, text, name)
    assert retire(root, 30, NOW) == [OLD]
    assert folder.is_dir()
    assert not (root / "stages/performance" / ("a" * 16)).exists()


@pytest.mark.parametrize("name", ["stage.json", "attempts/1/request.json"])
def test_a_folder_of_the_old_run_goes_with_it(root: Path, name: str) -> None:
    folder = made(root, "b" * 16, f'{{"schema_version": 1, "run_id": "{OLD}"}}', name)
    assert retire(root, 30, NOW) == [OLD]
    assert not folder.exists()
    assert (root / "runs" / NEW).is_dir()


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    folder = root / "stages/performance" / ("b" * 16)
    folder.mkdir()
    os.mkfifo(folder / "stage.json")
    assert retire(root, 30, NOW) == [OLD]
    assert folder.is_dir()

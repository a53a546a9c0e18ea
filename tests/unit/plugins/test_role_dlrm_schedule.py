"""The role keeps no secret in a schedule's request: an old one is moved, a new one is refused."""

from __future__ import annotations

import getpass
import json
import stat
from pathlib import Path
from typing import Any

import playbook
import pytest

MD5 = "0123456789abcdef" * 2
SIGNATURE = "5167a7d3b0c4fe11"
PLAIN = "https://data.example.com/day_23.npz"
SIGNED = f"{PLAIN}?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
USER = getpass.getuser()


def request(url: str, **more: str) -> dict[str, Any]:
    return {"precision": "int8", "data_source": [{"url": url, "md5": MD5}], **more}


class Schedule:
    """Only what role dlrm_schedule writes below its state folder, and its script beside it."""

    def __init__(self, folder: Path) -> None:
        self.play = folder / "play"
        self.folder = folder / "state" / "nightly"

    def holds(self, variables: dict[str, Any]) -> None:
        """As the role of the commits before wrote it."""
        self.folder.mkdir(parents=True)
        text = json.dumps(variables, indent=4, sort_keys=True) + "\n"
        (self.folder / "extra_vars.json").write_text(text)

    def ensure(self, variables: dict[str, Any], *options: str) -> playbook.Ended:
        role = {
            "name": str(playbook.REPOSITORY / "roles/dlrm_schedule"),
            "tasks_from": "script.yml",
        }
        tasks = [
            {"name": "Look up", "ansible.builtin.getent": {"database": "passwd", "key": USER}},
            {"name": "Include", "ansible.builtin.include_role": role},
        ]
        given = {
            "ansible_become": False,
            "dlrm_schedule_name": "nightly",
            "dlrm_schedule_user": USER,
            "dlrm_schedule_state_dir": str(self.folder.parent),
            "dlrm_schedule_venv": "/usr",
            "dlrm_schedule_working_dir": "/",
            "dlrm_schedule_extra_vars": variables,
        }
        script = f"__dlrm_schedule_script={self.play}/script"
        return playbook.run(self.play, tasks, "-e", script, *options, variables=given)

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "extra_vars.json").read_text())
        return found


@pytest.fixture
def schedule(tmp_path: Path) -> Schedule:
    return Schedule(tmp_path)


def test_an_older_schedules_secret_is_moved_and_the_schedule_stays(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED))
    ended = schedule.ensure(request(SIGNED), "--diff", "-vvv")
    assert ended.code == 0, ended.output
    assert SIGNATURE not in json.dumps(schedule.stored())
    assert SIGNATURE not in ended.output
    secret = schedule.folder / "data.secret"
    assert schedule.stored() == request(PLAIN, data_secret_file=str(secret))
    assert secret.read_text() == f"{SIGNED}\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert f"It moved into '{secret}', mode 0600" in ended.words


def test_a_secret_of_a_new_schedule_is_refused_and_not_shown(schedule: Schedule) -> None:
    ended = schedule.ensure(request(SIGNED), "-vvv")
    assert ended.code == 2, ended.output
    assert "data_source holds a signature or token" in ended.words
    assert "-e data_secret_file=/path/of/the/file" in ended.words
    assert SIGNATURE not in ended.output
    assert not (schedule.folder / "extra_vars.json").exists()

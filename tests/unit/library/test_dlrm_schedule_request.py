"""What module dlrm_schedule_request writes, moves and refuses."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_schedule_request

MD5 = "0123456789abcdef" * 2
SIGNATURE = "5167a7d3b0c4fe11"
PLAIN = "https://data.example.com/day_23.npz"
SIGNED = f"{PLAIN}?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
KEY = "wJalrXUtnFEMI"
REMOTE = f":s3,provider=AWS,secret_access_key={KEY}:bucket/day"


def request(url: str, **more: str) -> dict[str, Any]:
    return {"precision": "int8", "data_source": [{"url": url, "md5": MD5}], **more}


class Schedule:
    """The folder of one schedule."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.secret = folder / "data.secret"

    def holds(self, variables: dict[str, Any]) -> None:
        text = json.dumps(variables, indent=4, sort_keys=True) + "\n"
        (self.folder / "extra_vars.json").write_text(text)

    def ensure(self, variables: dict[str, Any], **options: Any) -> dict[str, Any]:
        arguments = {
            "folder": str(self.folder),
            "variables": json.dumps(variables),
            "uid": os.getuid(),
            "gid": os.getgid(),
            **options,
        }
        ended = run_module(dlrm_schedule_request, self.capsys, **arguments)
        for secret in (SIGNATURE, KEY):
            assert secret not in json.dumps(ended)
        return ended

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "extra_vars.json").read_text())
        return found


@pytest.fixture
def schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Schedule:
    return Schedule(tmp_path, capsys)


@pytest.mark.parametrize("given", [SIGNED, PLAIN], ids=["as before", "already without it"])
def test_what_a_schedule_holds_today_is_moved(schedule: Schedule, given: str) -> None:
    schedule.holds(request(SIGNED))
    ended = schedule.ensure(request(given))
    assert (ended["changed"], ended["moved"]) == (True, ["data_source"])
    assert schedule.stored() == request(PLAIN, data_secret_file=str(schedule.secret))
    assert schedule.secret.read_text() == f"{SIGNED}\n"
    assert stat.S_IMODE(schedule.secret.stat().st_mode) == 0o600


def test_a_remotes_key_is_moved_as_an_option(schedule: Schedule) -> None:
    schedule.holds({"precision": "int8", "data_source": REMOTE})
    schedule.ensure({"precision": "int8", "data_source": REMOTE})
    assert schedule.stored()["data_source"] == ":s3,provider=AWS:bucket/day"
    assert schedule.secret.read_text() == f"secret_access_key = {KEY}\n"


def test_the_newest_signature_is_moved(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED.replace(SIGNATURE, "0" * 16)))
    schedule.ensure(request(SIGNED))
    assert schedule.secret.read_text() == f"{SIGNED}\n"


def test_what_was_moved_stays_when_the_plain_request_is_given_again(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED))
    schedule.ensure(request(SIGNED))
    schedule.secret.write_text(f"{SIGNED}new\n")
    assert not schedule.ensure(request(PLAIN))["changed"]
    assert schedule.stored()["data_secret_file"] == str(schedule.secret)
    assert schedule.secret.read_text() == f"{SIGNED}new\n"


def test_a_file_of_the_users_own_replaces_what_was_moved(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED))
    own = request(PLAIN, data_secret_file="/home/x/data.secret")
    assert schedule.ensure(own)["moved"] == []
    assert schedule.stored() == own


def test_a_secret_given_twice_is_refused(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED))
    ended = schedule.ensure(request(SIGNED, data_secret_file="/x"))
    assert ended["msg"].endswith("data_secret_file is given as well. Give the secret once.")
    assert schedule.stored() == request(SIGNED)


def test_a_new_schedules_secret_is_refused(schedule: Schedule) -> None:
    ended = schedule.ensure(request(SIGNED))
    assert "data_source holds a signature or token" in ended["msg"]
    assert list(schedule.folder.iterdir()) == []


def test_a_secret_given_after_it_was_moved_is_refused_with_its_place(schedule: Schedule) -> None:
    schedule.holds(request(SIGNED))
    schedule.ensure(request(SIGNED))
    before = schedule.stored()
    ended = schedule.ensure(request(SIGNED))
    assert f"The schedule keeps it in {str(schedule.secret)!r}: change it there" in ended["msg"]
    assert schedule.stored() == before


def test_check_mode_says_it_and_changes_nothing(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    warn = "ansible.module_utils.basic.AnsibleModule.warn"
    monkeypatch.setattr(warn, lambda _self, warning: said.append(warning))
    schedule.holds(request(SIGNED))
    ended = schedule.ensure(request(SIGNED), _ansible_check_mode=True)
    assert (ended["changed"], ended["moved"]) == (True, ["data_source"])
    assert len(said) == 1
    assert f"It would move into {str(schedule.secret)!r}, mode 0600" in said[0]
    assert schedule.stored() == request(SIGNED)
    assert not schedule.secret.exists()


def test_a_request_without_secrets_stays_as_the_commits_before_wrote_it(schedule: Schedule) -> None:
    assert schedule.ensure({"precision": "int8", "seed": 3})["changed"]
    path = schedule.folder / "extra_vars.json"
    assert path.read_text() == '{\n    "precision": "int8",\n    "seed": 3\n}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not schedule.ensure({"precision": "int8", "seed": 3})["changed"]


def test_a_secret_in_a_command_is_refused(schedule: Schedule) -> None:
    ended = schedule.ensure({}, command=json.dumps(["curl", f"--url={SIGNED}"]))
    assert "dlrm_schedule_command: argument 2 holds a signature or token" in ended["msg"]

"""A secret in a source is refused, however it was given, and nothing shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import playbook
import pytest

READ = {"name": "Read", "dlrm_request": None, "delegate_to": "localhost", "register": "seen"}


def tasks(folder: Path) -> list[dict[str, Any]]:
    return [READ, *playbook.saved(folder)]


SECRET = "5167a7d3b0c4fe11"
WITH_SECRETS = {
    "userinfo": [{"url": f"https://joe:{SECRET}@data.example.com/x", "md5": "0" * 32}],
    "signature": [{"url": f"https://data.example.com/x?sig={SECRET}", "md5": "0" * 32}],
    "key": f":s3,access_key_id=A,secret_access_key={SECRET}:bucket/x",
}


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_a_secret_in_a_source_is_refused_and_shown_nowhere(tmp_path: Path, name: str) -> None:
    if name == "signature":
        given: dict[str, object] = {"variables": {"data_source": WITH_SECRETS[name]}}
        options = []
    else:
        given, options = {}, ["-e", json.dumps({"data_source": WITH_SECRETS[name]})]
    ended = playbook.run(
        tmp_path, tasks(tmp_path), "-vvv", "-e", "precision=int8", *options, **given
    )
    seen = tmp_path / "seen.json"
    assert SECRET not in (seen.read_text() if seen.exists() else "")
    assert SECRET not in ended.output
    assert ended.code == 2, ended.output
    assert "data_source: it holds" in ended.words
    assert "a file of mode 0600 on the controller: -e data_secret_file=" in ended.words


def test_a_new_signature_in_the_file_changes_nothing_that_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "data.secret"
    source = [{"url": "https://data.example.com/x", "md5": "0" * 32}]
    given = json.dumps({"data_source": source, "data_secret_file": str(file)})
    answers = []
    for signature in (SECRET, SECRET[::-1]):
        file.write_text(f"https://data.example.com/x?sig={signature}\n")
        file.chmod(0o600)
        ended = playbook.run(tmp_path, tasks(tmp_path), "-vvv", "-e", "precision=int8", "-e", given)
        assert ended.code == 0, ended.output
        assert signature not in ended.output
        answers.append(playbook.seen(tmp_path))
    assert answers[0]["secret_files"] == {"data_source": str(file)}
    for answer in answers:
        del answer["controller"]
        answer.pop("invocation", None)
    assert answers[0] == answers[1]

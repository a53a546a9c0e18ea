"""What a stage's secret file gives: whole URLs, headers, options of a remote; none is shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.secrets import HIDDEN, Secrets

PLAIN = "https://data.example.com/day_23_dense.npy"
SIGNED = f"{PLAIN}?signature=s3cr3t"
DOCUMENT: dict[str, Any] = {
    "schema_version": 1,
    "urls": {PLAIN: SIGNED},
    "options": {"access_key_id": "AKEY", "secret_access_key": "SKEY"},
    "headers": {"https://data.example.com": {"X-Client": "c1"}},
    "hidden": ["s3cr3t", "SKEY"],
}


def read(folder: Path, document: object) -> Secrets:
    (folder / "secret.json").write_text(json.dumps(document))
    return Secrets.read(folder)


def test_a_stage_without_a_file_has_no_secret(tmp_path: Path) -> None:
    secrets = Secrets.read(tmp_path)
    assert secrets.request(PLAIN) == (PLAIN, {})
    assert secrets.remote("lab:bucket/path") == ("lab:bucket/path", "")
    assert secrets.hide("nothing s3cr3t here") == "nothing s3cr3t here"


def test_a_plain_url_is_asked_for_by_its_whole_one_and_its_hosts_headers(tmp_path: Path) -> None:
    secrets = read(tmp_path, DOCUMENT)
    assert secrets.request(PLAIN) == (SIGNED, {"X-Client": "c1"})
    elsewhere = "https://other.example.com/day_23_dense.npy"
    assert secrets.request(elsewhere) == (elsewhere, {})
    assert "s3cr3t" not in repr(secrets)


def test_a_name_and_password_become_a_header(tmp_path: Path) -> None:
    with_login = PLAIN.replace("https://", "https://me:p%40ss@")
    secrets = read(tmp_path, {**DOCUMENT, "urls": {PLAIN: with_login}})
    address, headers = secrets.request(PLAIN)
    assert address == PLAIN
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert headers["X-Client"] == "c1"


@pytest.mark.parametrize(
    ("remote", "named", "section"),
    [(":s3:bucket/path", "source:bucket/path", "source"), ("lab:bucket", "lab:bucket", "lab")],
)
def test_a_remotes_options_become_a_section(
    tmp_path: Path, remote: str, named: str, section: str
) -> None:
    said, configuration = read(tmp_path, DOCUMENT).remote(remote)
    assert said == named
    assert configuration.splitlines() == [
        f"[{section}]",
        "access_key_id = AKEY",
        "secret_access_key = SKEY",
    ]


def test_what_is_secret_is_hidden_in_texts(tmp_path: Path) -> None:
    said = read(tmp_path, DOCUMENT).hide(f"GET {SIGNED} with SKEY failed")
    assert said == f"GET {PLAIN}?signature={HIDDEN} with {HIDDEN} failed"


@pytest.mark.parametrize(
    "document",
    [
        {**DOCUMENT, "schema_version": 2},
        {name: value for name, value in DOCUMENT.items() if name != "hidden"},
        {**DOCUMENT, "hidden": None},
        ["a list"],
    ],
)
def test_a_file_of_another_form_is_refused_without_its_content(
    tmp_path: Path, document: object
) -> None:
    with pytest.raises(StageError, match="its fields are not as wanted") as caught:
        read(tmp_path, document)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"schema_version": 1, "urls": {"https://s3cr3t')
    with pytest.raises(StageError, match="cannot use") as caught:
        Secrets.read(tmp_path)
    assert "s3cr3t" not in str(caught.value)

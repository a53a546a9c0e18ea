from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base import documents
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.base.times import format_time, parse_time
from ansible.module_utils.dlrm_fleet.wire.documents import read_strictly

Reader = Callable[[Path], dict[str, Any]]


def test_error_reads_as_two_sentences() -> None:
    error = FleetError("cannot start 'x'", "no space", "Free 3 GiB")
    assert str(error) == "cannot start 'x': no space. Free 3 GiB."
    assert str(FleetError("done.")) == "done."


def test_written_document_is_read_back_and_no_partial_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    documents.write_json_atomic(path, {"schema_version": 1, "b": [1, None]})
    assert documents.read_json(path) == {"schema_version": 1, "b": [1, None]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param('{"schema_version": 1, "a": [', "truncated after 28 bytes", id="truncated"),
        pytest.param("", "truncated after 0 bytes", id="empty"),
        pytest.param('{"schema_version": 2}', "schema_version 1 is wanted, found 2", id="version"),
        pytest.param("{}", "schema_version 1 is wanted, found None", id="no version"),
        pytest.param("[]", "a JSON object is wanted, found list", id="list"),
    ],
)
def test_bad_document_is_refused_in_words(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(FleetError) as caught:
        documents.read_json(path)
    assert wanted in str(caught.value)
    assert str(path) in str(caught.value)


def test_directory_missing_file_and_binary_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="it is a directory"):
        documents.read_json(tmp_path)
    with pytest.raises(FleetError, match="there is no such file"):
        documents.read_json(tmp_path / "no")
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(FleetError, match="not UTF-8"):
        documents.read_json(tmp_path / "b")


@pytest.mark.parametrize("read", [documents.read_json, read_strictly])
def test_a_link_a_pipe_and_a_huge_file_are_no_documents(tmp_path: Path, read: Reader) -> None:
    (tmp_path / "real").write_text('{"schema_version": 1}')
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert read(tmp_path / "real") == {"schema_version": 1}
    for name, why in (("link", "is a link"), ("pipe", "no regular"), ("huge", "more than")):
        with pytest.raises(FleetError, match=f"cannot read '.*/{name}': it .*{why}"):
            read(tmp_path / name)
    assert documents.read_text(tmp_path / "real") == '{"schema_version": 1}'
    assert [documents.read_text(tmp_path / name) for name in ("link", "pipe", "huge")] == [None] * 3
    assert documents.sha256_file(tmp_path / "link") == documents.sha256_file(tmp_path / "real")
    for name, follow in (("link", False), ("pipe", True)):
        with pytest.raises(FleetError, match="cannot hash"):
            documents.sha256_file(tmp_path / name, follow=follow)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"schema_version": 1, "a": NaN}', "NaN is not a number of JSON"),
        ('{"schema_version": 1, "a": 1, "a": 2}', "'a' stands twice"),
        ('{"schema_version": 1, "a": ' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
        ("[" * 200_000, "nested too deeply"),
        ('{"schema_version": 1, "a": NaN', "it is empty or truncated after 30 bytes"),
        ("[]", "a JSON object is wanted, found list"),
    ],
)
def test_what_others_write_is_read_strictly(tmp_path: Path, text: str, wanted: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(FleetError) as caught:
        read_strictly(tmp_path / "a")
    assert str(caught.value).startswith(f"cannot read '{tmp_path}/a': ")
    assert wanted in str(caught.value)


def test_unwritable_place_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.mkdir()
    with pytest.raises(FleetError, match="cannot write"):
        documents.write_json_atomic(path, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_content_has_its_mode_and_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    documents.write_atomic(path, b"new", 0o600, (os.geteuid(), os.getegid()))
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FleetError, match="cannot write '.*folder'"):
        documents.write_atomic(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_canonical_json_does_not_depend_on_order() -> None:
    assert documents.canonical_json({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"\\u00e9"],"b":1}'
    with pytest.raises(ValueError):
        documents.canonical_json(float("nan"))


def test_sha256_of_several_chunks_with_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "CHUNK_BYTES", 4)
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    seen: list[int] = []
    digest = documents.sha256_file(path, seen.append)
    assert digest == hashlib.sha256(b"0123456789").hexdigest()
    assert seen == [4, 8, 10]
    with pytest.raises(FleetError, match="cannot hash"):
        documents.sha256_file(tmp_path)


def test_times_are_utc_seconds() -> None:
    moment = datetime(2026, 1, 31, 1, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-01-30T23:00:00Z"
    assert parse_time("2026-01-30T23:00:00Z") == moment
    with pytest.raises(FleetError, match="2026-01-30"):
        parse_time("2026-01-30")


def test_json_file_is_indented_for_people(tmp_path: Path) -> None:
    documents.write_json_atomic(tmp_path / "a", {"schema_version": 1})
    assert (tmp_path / "a").read_text() == json.dumps({"schema_version": 1}, indent=2) + "\n"

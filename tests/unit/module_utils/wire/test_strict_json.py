"""JSON of another side: bounded, strict, and read from regular files alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.wire import strict_json
from ansible.module_utils.dlrm_fleet.wire.strict_json import Limits, Malformed


def refusal(content: bytes, limits: Limits = strict_json.DEFAULT) -> str:
    with pytest.raises(Malformed) as refused:
        strict_json.parse(content, "cannot read the answer", limits)
    assert str(refused.value).startswith("cannot read the answer: ")
    return refused.value.why


def test_what_is_json_is_read_as_it_is() -> None:
    document = {"a": [1, -2.5, "ü", None, True], "b": {"c": {}}}
    assert strict_json.parse(json.dumps(document).encode(), "x") == document


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b'{"a": 1', "not JSON", id="truncated"),
        pytest.param(b"<html>login</html>", "not JSON", id="html"),
        pytest.param(b'{"a": NaN}', "NaN is not a number", id="nan"),
        pytest.param(b"[-Infinity]", "-Infinity is not a number", id="infinity"),
        pytest.param(b"[1e999]", "out of range", id="overflow"),
        pytest.param(b'{"a": 1, "a": 2}', "'a' stands twice", id="repeated"),
        pytest.param(b'{"x": {"a": 1, "a": 1}}', "'a' stands twice", id="repeated inside"),
        pytest.param(b"\xff", "not UTF-8", id="bytes"),
        pytest.param(b"[" + b"9" * 400 + b"]", "400 digits", id="digits"),
        pytest.param(b"[0." + b"1" * 400 + b"]", "out of range", id="fraction"),
        pytest.param(b"[" * 40 + b"]" * 40, "deeper than 32", id="deep"),
        pytest.param(b"[" * 200_000, "deeper than 32", id="endless depth"),
        pytest.param(b'{"a":' * 40 + b"1" + b"}" * 40, "deeper than 32", id="deep objects"),
    ],
)
def test_what_is_no_strict_json_is_refused_in_a_sentence(content: bytes, why: str) -> None:
    assert why in refusal(content)


def test_size_count_and_length_are_bounded() -> None:
    assert "more than 10 bytes" in refusal(b"[1,2,3,4,5]", Limits(size=10))
    assert "more than 5 values" in refusal(b"[1,2,3,4,5]", Limits(nodes=5))
    assert "more than 5 values" in refusal(b'{"a":1,"b":2,"c":3}', Limits(nodes=5))
    assert "more than 3 characters" in refusal(b'["four"]', Limits(text=3))
    assert "more than 3 characters" in refusal(b'{"four":1}', Limits(text=3))


def test_what_is_shown_of_a_foreign_text_cannot_steer_a_terminal() -> None:
    text = strict_json.shown("\x1b[31mred\n" * 50)
    assert text.isprintable() and text.isascii() and len(text) <= 80


def test_a_link_a_folder_and_a_pipe_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    assert strict_json.read(tmp_path / "real") == {}
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("link", "is a link"), ("folder", "no regular"), ("pipe", "no regular")):
        with pytest.raises(Malformed, match=why):
            strict_json.read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        strict_json.read(tmp_path / "absent")


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Malformed, match="more than 1000 bytes"):
        strict_json.read_bytes(tmp_path / "huge", 1000)

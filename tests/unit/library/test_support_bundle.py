"""One bad file of many, and a machine that is not trusted, in a support bundle."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from module_runner import run_module

import dlrm_support_bundle
import dlrm_support_info


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        members = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read().decode() for name, file in members.items() if file is not None}


def gather(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What is gathered below a host's root."""
    answer = run_module(dlrm_support_info, capsys, root=str(root))
    assert not answer.get("failed"), answer
    return {name: text for name, text in answer["files"].items() if name.startswith("root/")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def attempt(root: Path, number: str) -> Path:
    return root / "stages/dump/a/attempts" / number


def test_no_link_of_a_container_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    write(tmp_path / "elsewhere/log.txt", "only for root")
    write(attempt(root, "1") / "log.txt", "good")
    write(attempt(root, "1") / "status.json", "good")
    (attempt(root, "1") / "exit.json").symlink_to(tmp_path / "elsewhere/log.txt")
    attempt(root, "2").symlink_to(tmp_path / "elsewhere")
    found = gather(root, capsys)
    assert "only for root" not in "".join(found.values())
    assert found["root/stages/dump/a/attempts/1/log.txt"] == "good"
    assert found["root/stages/dump/a/attempts/1/status.json"] == "good"


def test_a_pipe_is_not_awaited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    write(attempt(root, "1") / "log.txt", "good")
    os.mkfifo(attempt(root, "1") / "status.json")
    assert gather(root, capsys) == {"root/stages/dump/a/attempts/1/log.txt": "good"}


def test_only_the_end_of_a_huge_file_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is larger than any memory."""
    root = tmp_path / "root"
    write(attempt(root, "1") / "log.txt", "start")
    with (attempt(root, "1") / "log.txt").open("r+b") as file:
        file.truncate(8 * 1024**4)
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    write(root / "host.json", "good")
    found = gather(root, capsys)
    assert found["root/host.json"] == "good"
    assert found["root/stages/dump/a/attempts/1/log.txt"].endswith("the end")


def test_a_name_that_is_no_text_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    write(attempt(root, "1") / "log.txt", "good")
    write(attempt(root, os.fsdecode(b"\xff\x1b[2J")) / "log.txt", "odd")
    found = gather(root, capsys)
    assert sorted(found.values()) == ["good", "odd"]
    assert all(name.isascii() and name.isprintable() for name in found)


def bundle(path: Path, files: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    answer = run_module(dlrm_support_bundle, capsys, path=str(path), name="arm-01", files=files)
    assert not answer.get("failed"), answer
    return contents(path)


NAMES = ["../../x", "/etc/cron.d/x", "a/../x", "a\nb", "\x1b[2J", "", ".", "..", "a//b", "a/.."]


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_unpacks_into_its_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The machine that is asked names the files."""
    found = bundle(tmp_path / "a.tar.gz", {"root/host.json": "good", name: "planted"}, capsys)
    assert set(found) == {"arm-01/root/host.json", "arm-01/left_out.txt"}
    assert found["arm-01/root/host.json"] == "good"
    assert "no relative path of plain names" in found["arm-01/left_out.txt"]
    assert found["arm-01/left_out.txt"].count("\n") == 1


def test_a_bundle_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"root/{number:05}.txt": "x" for number in range(5000)}
    found = bundle(tmp_path / "a.tar.gz", {**many, "a": {"no": "text"}}, capsys)
    assert len(found) == 2000
    assert "'a': it is no text but dict" in found["arm-01/left_out.txt"]
    assert "at most 2000 files" in found["arm-01/left_out.txt"]

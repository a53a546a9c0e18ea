"""Modules of the image: its name from the real build context, a failed build, two images."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_run import REPOSITORY
from module_runner import run_module

import dlrm_image_failed
import dlrm_image_info
import dlrm_image_same

BASE = f"debian@sha256:{'a' * 64}"


def test_the_real_context_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"context_dir": str(REPOSITORY / "benchmark"), "base": BASE}
    result = run_module(dlrm_image_info, capsys, **arguments)
    assert result["changed"] is False
    assert result["name"] == f"dlrm-bench:{result['content_sha256'][:12]}"
    assert result["base_reference"] == BASE
    again = run_module(dlrm_image_info, capsys, _ansible_check_mode=True, **arguments)
    assert again["name"] == result["name"]


def test_a_base_by_tag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(
        dlrm_image_info, capsys, context_dir=str(REPOSITORY / "benchmark"), base="debian:12"
    )
    assert result["failed"] is True
    assert "base image 'debian:12' is not pinned" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_a_failed_build_is_kept_whole_and_said_in_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], check: bool
) -> None:
    log = tmp_path / "failed.log"
    printed = [f"line {number}" for number in range(20)]
    result = run_module(
        dlrm_image_failed,
        capsys,
        name="dlrm-bench:1",
        host="bench-01",
        output=f"Error building dlrm-bench - message: no, logs: {printed}",
        log=str(log),
        _ansible_check_mode=check,
    )
    assert result["failed"] is True
    assert result["msg"].splitlines() == [
        "Building dlrm-bench:1 on bench-01 failed. "
        f"The whole output is in {log} there; it ends with",
        *printed[-8:],
    ]
    assert log.exists() is not check
    if not check:
        assert log.read_text().splitlines() == ["Error building dlrm-bench - message: no", *printed]


def test_a_log_that_cannot_be_written_hides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"name": "n", "host": "h", "output": "why", "log": str(tmp_path / "absent/log")}
    message = run_module(dlrm_image_failed, capsys, **arguments)["msg"]
    assert "could not be written" in message
    assert message.endswith("it ends with\nwhy")


def test_two_images_of_one_architecture(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"name": "n", "architecture": "x", "architectures": {"a": "x", "b": "x"}}
    same = run_module(dlrm_image_same, capsys, images={"a": "1", "b": "1"}, **arguments)
    assert same["changed"] is False
    refused = run_module(dlrm_image_same, capsys, images={"a": "1", "b": "2"}, **arguments)
    assert refused["failed"] is True
    assert "a has 1; b has 2" in refused["msg"]

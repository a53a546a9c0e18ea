"""Module dlrm_image_info on the real build context."""

from __future__ import annotations

import pytest
from made_run import REPOSITORY
from module_runner import run_module

import dlrm_image_info

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

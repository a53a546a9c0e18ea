"""Module dlrm_host_info on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.host import look, machine
from module_runner import run_module

import dlrm_host_info


def test_this_machine_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(
        dlrm_host_info,
        capsys,
        root=str(tmp_path / "srv"),
        name="here",
        needs={"memory_gib": 0.1},
        _ansible_check_mode=True,
    )
    host = result["host"]
    assert result["changed"] is False
    assert result["problems"] == []
    assert host["name"] == "here"
    assert host["architecture"] == os.uname().machine
    assert host["cpu"]["allowed_threads"] == len(os.sched_getaffinity(0))
    assert host["os"]["kernel"] == os.uname().release
    assert "engine_version" in host
    assert not (tmp_path / "srv").exists()


def test_a_standing_cpu_quota_is_of_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = machine.HostReader
    monkeypatch.setattr(look, "HostReader", lambda _root, name: reader(tmp_path, name))
    for path, text in (
        ("sys/devices/system/cpu/online", "0-3"),
        ("sys/fs/cgroup/system.slice/cpu.max", "150000 100000"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    host = run_module(dlrm_host_info, capsys, root=str(tmp_path), name="here")["host"]
    assert host["cpu"]["threads"] == 4
    assert host["cpu"].get("quota_cores") == 1.5


def test_a_need_that_is_not_met_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_module(
        dlrm_host_info, capsys, root=str(tmp_path), name="here", needs={"memory_gib": 10000000}
    )
    assert "failed" not in result
    assert result["problems"][0].startswith("Host 'here' needs 1e+07 GiB of memory, found ")


def test_the_document_is_equal_in_each_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_module(dlrm_host_info, capsys, root=str(tmp_path), name="here")["host"]
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "made.bin").write_bytes(bytes(32 << 20))
    assert run_module(dlrm_host_info, capsys, root=str(tmp_path), name="here")["host"] == first


def test_what_the_stages_hold_need_not_be_free_again(tmp_path: Path) -> None:
    assert look.stages_gib(tmp_path / "stages") == 0
    (tmp_path / "stages" / "dump").mkdir(parents=True)
    (tmp_path / "stages" / "dump" / "made.bin").write_bytes(b"1" * (64 << 20))
    assert look.stages_gib(tmp_path / "stages") == pytest.approx(1 / 16, rel=0.01)

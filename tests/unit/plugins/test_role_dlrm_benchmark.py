"""The role gives a stage the secret of its own source, and shows it nowhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import playbook
from tiny.machine import CATALOGUE, USER, Machine

SIGNATURE = "5167a7d3b0c4fe11"
PLAIN = "https://data.example.com/day_23.npz"
SOURCE = {"kind": "urls", "urls": [{"url": PLAIN, "md5": "0" * 32, "name": "day_23.npz"}]}


def variables(machine: Machine, stage: str, file: Path) -> dict[str, Any]:
    return {
        "ansible_become": False,
        "dlrm_benchmark_python": sys.executable,
        "__dlrm_benchmark_stage": stage,
        "dlrm_benchmark_root": str(machine.root),
        "dlrm_benchmark_catalogue": CATALOGUE,
        "dlrm_benchmark_request": machine.asked.request,
        "dlrm_benchmark_run_id": machine.asked.run_id,
        "dlrm_benchmark_image": machine.asked.image,
        "dlrm_benchmark_user": USER,
        "dlrm_benchmark_deadline": machine.deadline,
        "dlrm_benchmark_controller": machine.asked.controller,
        "dlrm_benchmark_secret_files": {"data_source": str(file)},
    }


def test_only_the_stage_that_fetches_the_source_gets_it(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "data.secret"
    file.write_text(f"{PLAIN}?X-Amz-Signature={SIGNATURE}\n")
    machine.ask(sources={"weights_source": None, "data_source": SOURCE})
    folder = machine.folder("telling")
    machine.owner.make_directory(folder.path)
    (folder.path / "go").touch()
    role = {"name": str(playbook.REPOSITORY / "roles/dlrm_benchmark"), "tasks_from": "stage.yml"}
    include = [{"name": "Include", "ansible.builtin.include_role": role}]
    for stage in ("made", "telling"):
        given = variables(machine, stage, file)
        ended = playbook.run(tmp_path / stage, include, "-vvv", "--diff", variables=given)
        assert SIGNATURE not in ended.output
        assert (ended.code == 0) is (stage == "made"), ended.output
    assert "cannot fetch: {schema_version: 1" in ended.words
    assert f"{PLAIN}?X-Amz-Signature=[redacted]" in folder.log_path(1).read_text()
    made = machine.folder("made").attempt_document(1, "request.json")
    assert made is not None
    assert made["stage"] == "made"

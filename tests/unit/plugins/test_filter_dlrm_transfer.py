"""Names and folders that no transfer could name are refused with the request."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.storage.host import gate
from ansible.module_utils.dlrm_fleet.wire import fields
from playbook import REPOSITORY

PATH = REPOSITORY / "plugins/filter/dlrm_transfer.py"


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("filter_dlrm_transfer", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_patterns_are_those_of_the_transfer() -> None:
    assert loaded().NAME.pattern == fields.NAME.pattern
    assert loaded().PATH.pattern == gate.PATH.pattern


@pytest.mark.parametrize(
    ("roots", "words"),
    [
        ({"arm-01": "/srv/dlrm", "192.0.2.1": "/data/a_b+c"}, []),
        ({"rack1/arm": "/srv/dlrm"}, ["'rack1/arm' cannot be a host's name"]),
        ({".hidden": "/srv/dlrm"}, ["'.hidden' cannot be a host's name"]),
        ({"a\n": "/srv/dlrm"}, ["cannot be a host's name"]),
        ({"arm-01": "/srv/my dlrm"}, ["dlrm_host_root of arm-01 is '/srv/my dlrm', but archive"]),
        ({"arm-01": "/srv/größe"}, ["Choose another folder"]),
        ({"arm-01": "/srv/dlrm\n"}, ["Choose another folder"]),
        ({"archive": "/srv/my dlrm"}, []),
        ({"a/b": "/srv/x y"}, ["cannot be a host's name", "Choose another folder"]),
    ],
)
def test_refusals(roots: dict[str, str], words: list[str]) -> None:
    sentences = loaded().dlrm_transfer_refusals(roots, "archive")
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))


def run(playbook: Path, folder: Path, host: str, **variables: Any) -> tuple[int, str]:
    """(exit code, output) with the common inventory, and a host that never answers."""
    inventory = folder / "inventory"
    inventory.mkdir()
    for name in ("groups.yml", "group_vars"):
        (inventory / name).symlink_to(REPOSITORY / "inventories/common" / name)
    hosts = {host: {"ansible_host": "192.0.2.1", **variables}}
    groups = {"benchmark_hosts": {"hosts": hosts}, "storage": {"hosts": {"archive": None}}}
    # JSON is YAML.
    (inventory / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    program = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
    given = {"precision": "int8", "dlrm_connection_timeout_seconds": 1}
    done = subprocess.run(
        [*program, "-i", str(inventory), "-e", json.dumps(given)],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("host", "variables", "words"),
    [
        ("rack1/arm", {}, "'rack1/arm' cannot be a host's name in the inventory"),
        ("arm", {"dlrm_host_root": "/srv/my dlrm"}, "dlrm_host_root of arm is '/srv/my dlrm'"),
    ],
)
def test_they_are_refused_with_the_request(
    tmp_path: Path, host: str, variables: dict[str, str], words: str
) -> None:
    code, said = run(REPOSITORY / "run_benchmark.yml", tmp_path, host, **variables)
    assert words in said, said
    assert code == 2
    assert "Wait for the connection" not in said


def test_an_ordinary_host_passes(tmp_path: Path) -> None:
    tasks = str(REPOSITORY / "playbooks/tasks/run/request.yml")
    play = {
        "name": "Read the request",
        "hosts": "benchmark_hosts:localhost",
        "gather_facts": False,
        "tasks": [{"name": "Check it", "ansible.builtin.import_tasks": tasks}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    code, said = run(tmp_path / "play.yml", tmp_path, "arm", dlrm_host_root="/data/dlrm")
    assert code == 0, said

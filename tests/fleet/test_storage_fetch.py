"""playbooks/fetch_artifacts.yml: brings four artifacts, twice, and from a bare host."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .engine import REPOSITORY
from .images import ansible_environment, program
from .storage_world import made_run

NAMES = {
    "data/terabyte_processed_test_v2_dense.bin",
    "data/terabyte_processed_test_v2_label_sparse.bin",
    "model/dlrm-multihot-pytorch.pt",
}


def fetch(folder: Path) -> subprocess.CompletedProcess[str]:
    """This machine is host and storage node; the variables are those the root was made with."""
    variables = {
        "precision": "int8",
        "row_cap": 1000,
        "data_rows": 4000,
        "dlrm_host_root": str(folder / "root"),
        "dlrm_storage_root": str(folder / "store"),
    }
    playbook = [program("ansible-playbook"), "playbooks/fetch_artifacts.yml"]
    return subprocess.run(
        [*playbook, "-i", "inventories/local", "-e", json.dumps(variables)],
        cwd=REPOSITORY,
        env=ansible_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_four_artifacts_once(tmp_path: Path) -> None:
    made_run.make_root(tmp_path / "root", until="calibrate")
    done = fetch(tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    top = tmp_path / "store/artifacts/local"
    found = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    [int8] = found - NAMES
    assert int8.startswith("model/") and int8.endswith("_dlrm_int8.pt")
    assert (top / int8).read_bytes() == made_run.outputs("calibrate")["dlrm_int8.pt"]
    assert not (tmp_path / "store/runs").exists()
    again = fetch(tmp_path)
    assert again.stdout.count("reused, the storage node has it") == 6, again.stdout[-4000:]
    assert "changed=0" in again.stdout.rsplit("PLAY RECAP", 1)[1]


def test_a_host_that_has_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    done = fetch(tmp_path)
    assert done.returncode != 0
    assert "local has no artifact of this request below" in done.stdout

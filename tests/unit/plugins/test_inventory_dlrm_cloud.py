"""A cloud's inventory that cannot be read ends the command with one sentence and its remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCE_", "CLOUDSDK_")


def listed(inventory: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(NAMES)}
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "--list", "-i", str(inventory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={
            **environment,
            "HOME": str(home),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            # No machine of a cloud answers here.
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCE_METADATA_HOST": "127.0.0.1:9",
            "NO_GCE_CHECK": "true",
            "COLUMNS": "10000",
        },
    )


@pytest.mark.parametrize(
    ("name", "todo"),
    [
        ("aws", "AWS_PROFILE"),
        ("gcp", "gcloud auth application-default login"),
        ("azure", "az login"),
    ],
)
def test_one_sentence_and_the_doctor(name: str, todo: str, tmp_path: Path) -> None:
    inventory = ROOT / "inventories" / name
    done = listed(inventory, tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(said) <= 5, done.stderr
    assert todo in done.stderr
    assert f"make doctor INVENTORY={inventory}" in done.stderr

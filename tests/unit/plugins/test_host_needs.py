"""What the host check asks of a machine comes from the table of precisions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from product_tables import PRECISIONS

REPOSITORY = Path(__file__).resolve().parents[3]
MADE_UP = {"host": {"official": {"memory_gib": 7, "disk_gib": 9}}}


@pytest.mark.parametrize(
    ("precision", "profile", "table", "memory_and_disk"),
    [
        ("int8", "demo", None, "4 10"),
        ("int8", "official", None, "232 465"),
        ("bf16", "official", None, "372 745"),
        ("fp32", "official", None, "372 745"),
        ("fp8", "official", {**PRECISIONS, "fp8": MADE_UP}, "7 9"),
    ],
)
def test_memory_and_disk_are_the_precisions(
    precision: str, profile: str, table: dict[str, Any] | None, memory_and_disk: str
) -> None:
    given = {"dlrm_request": {"parameters": {"precision": precision, "profile": profile}}}
    if table is not None:
        given["dlrm_benchmark_precisions"] = table
    ended = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "inventories/local",
            "-m", "ansible.builtin.debug", "-e", json.dumps(given),
            "-a", "msg='{{ dlrm_host_memory_gib }} {{ dlrm_host_disk_gib }}'",
        ],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert (
        f'"msg": "{memory_and_disk}"' in ended.stdout or f"msg: {memory_and_disk}" in ended.stdout
    )

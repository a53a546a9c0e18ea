"""What a host offers, read as the storage node reads it."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import (
    OfferedFile,
    offered_artifacts,
    offered_run_files,
)


def artifacts(files: list[dict[str, Any]]) -> tuple[OfferedFile, ...]:
    return offered_artifacts(Fields({"artifacts": files}, "cannot use the offer"))


def run_files(files: list[dict[str, Any]]) -> tuple[OfferedFile, ...]:
    return offered_run_files(Fields({"run_files": files}, "cannot use the offer"))

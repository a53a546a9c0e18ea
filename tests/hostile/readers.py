"""The types that read what crosses between machines, each under the name of its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.module_utils.dlrm_fleet.container.kept_image import kept_image
from ansible.module_utils.dlrm_fleet.request.values import STAGES
from ansible.module_utils.dlrm_fleet.wire.fields import Fields
from ansible.module_utils.dlrm_fleet.wire.host_answer import host_answer, read_answer
from ansible.module_utils.dlrm_fleet.wire.restore import (
    known_sources,
    lacking_files,
    restorable_stages,
)
from ansible.module_utils.dlrm_fleet.wire.stage_document import stage_document
from ansible.module_utils.dlrm_fleet.wire.status_document import read_status
from ansible.module_utils.dlrm_fleet.wire.waiting_run import collect, spool_entry

WHAT = "cannot use what the peer says"


def answer_of_bytes(content: bytes) -> Any:
    return host_answer(content, WHAT, STAGES)


def answer(document: Any) -> Any:
    return answer_of_bytes(json.dumps(document).encode())


def answer_document(document: Any) -> Any:
    """Without its bytes: so a storage node reads the answer of its own machine."""
    return read_answer(Fields(document, WHAT), STAGES)


def stage(document: Any) -> Any:
    return stage_document(document, WHAT, STAGES)


def restore(document: Any) -> Any:
    """Ansible refuses other options of a module; here that is only()."""
    fields = Fields(document, WHAT)
    fields.only("stages", "sources")
    return restorable_stages(fields, STAGES), known_sources(fields)


def lacking(document: Any) -> Any:
    return lacking_files(document, WHAT)


READERS: dict[str, Callable[[Any], Any]] = {
    "answer": answer,
    "stage": stage,
    "restore": restore,
    "lacking": lacking,
    "status": lambda document: read_status(document, WHAT),
    "spool": lambda document: spool_entry(document, WHAT),
    "collect": lambda document: collect(document, WHAT),
    "image": lambda document: kept_image(document, WHAT),
}
BYTES: dict[str, Callable[[bytes], Any]] = {"answer": answer_of_bytes}

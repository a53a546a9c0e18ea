"""For tests only: holds the controller at one module's first task while a file exists."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: fault_gate
type: notification
short_description: Hold the controller at a task
description: Touches reached in DLRM_FAULT_GATE, then waits while hold lies there.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "fault_gate"

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        folder = Path(os.environ["DLRM_FAULT_GATE"])
        if task.action == os.environ["DLRM_FAULT_GATE_ACTION"] and (folder / "hold").exists():
            (folder / "reached").touch()
            while (folder / "hold").exists():
                time.sleep(0.1)

"""Waits a bounded time until a machine answers; of one that does it asks no more than an echo."""

from __future__ import annotations

import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

PAUSE_SECONDS = 1
WORD = "dlrm-reachable"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "skipped": True}
        timeout = float(self._task.args.get("timeout", 60))
        ends = time.monotonic() + timeout
        while True:
            reason = self._reason()
            if not reason:
                return {**result, "changed": False}
            if time.monotonic() >= ends:
                # What was asked of a delegate is told of the delegate.
                name = self._task.delegate_to or task_vars["inventory_hostname"]
                said = f"{name} did not answer within {timeout:.0f} s: {reason}"
                return {**result, "failed": True, "msg": said}
            # A connection that broke is not used again.
            if hasattr(self._connection, "reset"):
                self._connection.reset()
            time.sleep(PAUSE_SECONDS)

    def _reason(self):
        """Why it does not answer; empty when it does."""
        try:
            answer = self._low_level_execute_command(f"echo {WORD}", sudoable=False)
        except AnsibleConnectionFailure as error:
            return str(error)
        if WORD in answer["stdout"]:
            return ""
        return answer["stderr"].strip() or f"exit code {answer['rc']} of an echo"

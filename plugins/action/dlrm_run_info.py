"""Lists a host's runs; where somebody else's lives, waits for its end as long as it is told to."""

from __future__ import annotations

import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# Each look is a short call of its own: no connection is held meanwhile.
POLL_SECONDS = 10
SAY_SECONDS = 60


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        host, wait = task_vars["inventory_hostname"], int(self._task.args.get("wait_seconds") or 0)
        answer = self._look(task_vars, ends=0)
        left = said = 0 if self._task.check_mode else wait
        ends = time.monotonic() + left
        while answer.get("busy") and left > 0:
            if left == wait or said - left >= SAY_SECONDS:
                self._display.display(f"[{host}] waits up to {left:.0f} s: {answer['busy']}")
                said = left
            time.sleep(min(POLL_SECONDS, left))
            answer = self._look(task_vars, ends)
            left = ends - time.monotonic()
        return {**result, **answer}

    def _look(self, task_vars, ends):
        """A lost connection is tried again while there is time to wait."""
        while True:
            try:
                answer = self._execute_module("dlrm_run_info", task_vars=task_vars)
                if not answer.get("unreachable") or time.monotonic() + POLL_SECONDS > ends:
                    return answer
            except AnsibleConnectionFailure:
                if time.monotonic() + POLL_SECONDS > ends:
                    raise
            time.sleep(POLL_SECONDS)

"""Lists a host's runs; waits up to wait_seconds for the end of another controller's live run.

A host cannot know that a controller elsewhere is gone; the machine it ran on can.
"""

from __future__ import annotations

import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# Each look is a short call of its own: no connection is held in between.
POLL_SECONDS = 10
SAY_SECONDS = 60


def _gone(answer, controller):
    """Controllers that hold live runs, ran on this machine and have ended."""
    held = [run["controller"] for run in answer.get("runs", []) if run["state"] == "live"]
    here = (controller or {}).get("machine_id")
    return [one for one in held if one["machine_id"] == here and not _runs(one)]


def _runs(controller):
    """The same process, not one that got its number since (field 22 of /proc/PID/stat: proc(5))."""
    try:
        text = Path(f"/proc/{controller['pid']}/stat").read_text()
    except OSError:
        return False
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0] not in "ZX" and int(fields[19]) == controller["pid_started"]


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        host, wait = task_vars["inventory_hostname"], int(self._task.args.get("wait_seconds") or 0)
        answer = self._look(task_vars, ends=0)
        gone = _gone(answer, self._task.args.get("controller"))
        if gone:
            # That controller was killed: nobody has to wait for its lease.
            self._task.args["gone"] = gone
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

"""Starts a stage and watches it until it is done, failed or late; prints its progress."""

from __future__ import annotations

import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# The first call: long enough for a stage of seconds, short enough to print a long one's start.
FIRST_SECONDS = 5
PAUSE_SECONDS = 5
# The container is stopped at the deadline and killed 30 s later; a poll takes some time, too.
GRACE_SECONDS = 40
WATCHED = ("root", "stage", "catalogue", "request", "run_id", "image", "controller")


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self._host, self._vars, self._printed = task_vars["inventory_hostname"], task_vars, ""
        args = {"host": self._host, "wait_seconds": FIRST_SECONDS, **self._task.args}
        self._ends = time.monotonic() + args["request"]["deadline_seconds"]
        started = self._call("dlrm_stage", args)
        # The host says how much time is left: its clock may differ from ours by a day.
        self._ends = min(self._ends, time.monotonic() + started.get("seconds_left", 1e9))
        while started.get("state") == "preparing":
            self._say(*started["lines"])
            started = self._call("dlrm_stage", args)
        self._say(*started.get("lines", []))
        if started.get("failed") or started["state"] != "running" or self._task.check_mode:
            return {**result, **started}
        ended = self._watch({name: args.get(name) for name in WATCHED}, started["token"])
        if ended["state"] == "done":
            # Once more, for the links. What was just made need not be verified.
            args.update(request={**args["request"], "verify": False}, force=False)
            ended = self._call("dlrm_stage", args)
            self._say(*ended.get("lines", []))
        changed = started["changed"] or ended.get("changed", False)
        return {**result, **ended, "changed": changed, "diff": started.get("diff") or {}}

    def _watch(self, args, token):
        while True:
            args.update(token=token)
            answer = self._call("dlrm_stage_info", args)
            if answer.get("failed"):
                return {**answer, "state": "failed"}
            seen, token = answer["stages"][0], answer["token"]
            if seen["state"] not in ("running", "unknown"):
                failed, said = seen["state"] != "done", seen["message"] or seen["reason"]
                return {**seen, "failed": failed, "msg": said}
            self._say(seen["lines"][-1])
            if self._is_late():
                late = f"{args['stage']} did not end by its deadline: {seen['lines'][-1]}"
                return {**seen, "state": "failed", "failed": True, "msg": late}

    def _call(self, module, args):
        """A lost connection is tried again until the deadline: the stage goes on without us."""
        while True:
            try:
                answer = self._execute_module(module, module_args=args, task_vars=self._vars)
                reason = answer.get("msg", "") if answer.get("unreachable") else None
            except AnsibleConnectionFailure as error:
                reason = str(error)
            if reason is None:
                return answer
            lost = f"{args['stage']}: connection lost ({reason})"
            if self._is_late():
                return {"failed": True, "msg": f"{lost}, and the deadline has passed"}
            self._say(f"{lost}, trying again until {self._task.args['deadline']}")
            time.sleep(PAUSE_SECONDS)

    def _is_late(self):
        return time.monotonic() > self._ends + GRACE_SECONDS

    def _say(self, *lines):
        for line in filter(None, lines):
            if line != self._printed:
                self._display.display(f"[{self._host}] {line}")
            self._printed = line

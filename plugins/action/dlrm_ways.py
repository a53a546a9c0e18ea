"""Logs in, becomes root and has dlrm_ways try the host's ways. What is refused is an answer, too.

For localhost, dlrm_storage_ways tries the storage node's ways at the same time.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

WORD = "dlrm-way"
# Not by echo: some take the backslash of DOMAIN\\user for the beginning of a control character.
ASKED = f'printf \'{WORD} %s %s\\n\' "$(date +%s)" "$(id -un)"'
# A login shell may print something before.
ANSWER = re.compile(rf"{WORD} ([0-9]+) (.*?)\r?$", re.MULTILINE)
PAUSE_SECONDS = 1
MOST_SAID = 4000
# Ansible keeps sudo's words in any of these.
SAID = ("msg", "module_stderr", "module_stdout", "stderr", "stdout", "exception")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = {**super().run(tmp, task_vars), "changed": False}
        try:
            result["address"] = str(self._connection.get_option("host"))
        except KeyError:
            result["address"] = ""
        ends = time.monotonic() + float(self._task.args.get("wait_seconds") or 0)
        while True:
            sent, said = time.time(), self._reached()
            found = ANSWER.search(said)
            if found is not None:
                break
            if time.monotonic() >= ends:
                login = self._play_context.remote_user or ""
                return {**result, "login": login, "refused": _refused("connection", said)}
            # Do not use a broken connection again.
            if hasattr(self._connection, "reset"):
                self._connection.reset()
            time.sleep(PAUSE_SECONDS)
        clock = {"host": float(found.group(1)), "sent": sent, "received": time.time()}
        login = found.group(2)
        return {**result, "login": login, "clock": clock, **self._asked(login, task_vars)}

    def _reached(self) -> str:
        """The machine's answer, or why there is none."""
        try:
            answer = self._low_level_execute_command(ASKED, sudoable=False)
        except AnsibleError as error:
            return str(error)
        if ANSWER.search(answer["stdout"]):
            return str(answer["stdout"])
        return answer["stderr"].strip() or f"an echo ended with exit code {answer['rc']}"

    def _asked(self, login: str, task_vars: Any) -> dict[str, Any]:
        arguments = {**self._task.args, "login": login}
        with suppress(ImportError):
            arguments["pip_index"] = import_module("pip._internal.models.index").PyPI.simple_url
        storage = arguments.pop("storage", None)
        module = "dlrm_ways" if storage is None else "dlrm_storage_ways"
        try:
            told = self._execute_module(module, storage or arguments, task_vars=task_vars)
        except AnsibleError as error:
            return {"refused": _refused("become", str(error))}
        found = {name: told[name] for name in ("answer", "ways") if name in told}
        said = "\n".join(str(told[name]) for name in SAID if told.get(name))
        return found or {"refused": _refused("become", said)}


def _refused(step: str, said: str) -> dict[str, str]:
    return {"step": step, "said": said[-MOST_SAID:]}

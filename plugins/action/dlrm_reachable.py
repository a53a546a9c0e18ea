"""Waits a bounded time until a machine answers, and says who the connection logs in as, and where.

The machine is asked one line for both: every part of a run begins with it.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

PAUSE_SECONDS = 1
MASTER_SECONDS = 10
WORD = "dlrm-reachable"
# The variable in which plays and roles keep the answer.
REGISTERED = "dlrm_storage_login"
# Not by echo: some take the backslash of DOMAIN\\user for the beginning of a control character.
ASKED = f"printf '{WORD} %s\\n' \"$(id -un)\""
ANSWER = re.compile(rf"{WORD} ?(.*?)\r?$", re.MULTILINE)


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "skipped": True}
        # Messages name the delegate.
        name = self._task.delegate_to or task_vars["inventory_hostname"]
        timeout = float(self._task.args.get("timeout", 60))
        ends = time.monotonic() + timeout
        self._leave_hung_master(name)
        while True:
            user, reason = self._ask()
            if not reason:
                way = self._way({} if self._task.delegate_to else task_vars)
                return {**result, "changed": False, "user": user, **way}
            if time.monotonic() >= ends:
                said = f"{name} did not answer within {timeout:.0f} s: {reason}"
                return {**result, "failed": True, "msg": said}
            # Do not use a broken connection again.
            if hasattr(self._connection, "reset"):
                self._connection.reset()
            time.sleep(PAUSE_SECONDS)

    def _ask(self) -> tuple[str, str]:
        """(login user, why it does not answer; empty when it does)"""
        try:
            answer = self._low_level_execute_command(ASKED, sudoable=False)
        except AnsibleConnectionFailure as error:
            return "", str(error)
        found = ANSWER.search(answer["stdout"])
        if found is not None:
            return found.group(1), ""
        return "", answer["stderr"].strip() or f"an echo ended with exit code {answer['rc']}"

    def _way(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """{asked, address, port} as ssh's own configuration has them; empty without ssh.

        It costs a process, so what an earlier task registered for the same name is kept.
        """
        connection = self._connection
        if not hasattr(connection, "_build_command"):
            return {}
        known = task_vars.get(REGISTERED) or {}
        if known.get("address") and known.get("asked") == connection.host:
            return {name: known[name] for name in ("asked", "address", "port")}
        program = connection.get_option("ssh_executable")
        words = connection._build_command(program, "ssh", "-G", connection.host)
        # Without sshpass, which may stand before it and would wait for its pipe.
        words = words[words.index(program.encode()) :]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=MASTER_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return {}
        settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        if "hostname" not in settings:
            return {}
        port = settings.get("port", "")
        return {
            "asked": connection.host,
            "address": settings["hostname"],
            "port": int(port) if port.isdecimal() else 22,
        }

    def _leave_hung_master(self, name: str) -> None:
        """Leave a hung SSH master: it answers at once, or it hangs for ever."""
        connection = self._connection
        if not hasattr(connection, "_build_command"):
            return
        connection.host = connection.get_option("host")
        program = connection.get_option("ssh_executable")
        asked = connection._build_command(program, "ssh", "-O", "check", connection.host)
        try:
            subprocess.run(asked, capture_output=True, timeout=MASTER_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            for part in (word.decode() for word in asked if word.startswith(b"ControlPath=")):
                Path(part.split("=", 1)[1].strip('"')).unlink(missing_ok=True)
            said = f"[{name}] the open SSH connection hung and was dropped; a new one is made"
            self._display.display(said)

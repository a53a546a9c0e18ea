"""Says who the connection logs in as, and which address and port ssh connects to."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from ansible.plugins.action import ActionBase

TIMEOUT_SECONDS = 10
WORD = "dlrm-login"
# Not by echo: some take the backslash of DOMAIN\user for the beginning of a control character.
ASKED = f"printf '{WORD} %s\\n' \"$(id -un)\""
# A login shell may print something before.
ANSWER = re.compile(rf"{WORD} (.*?)\r?$", re.MULTILINE)


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        # Escalation would answer for root.
        answer = self._low_level_execute_command(ASKED, sudoable=False)
        found = ANSWER.search(answer["stdout"])
        user = found.group(1) if found is not None else ""
        return {**result, "changed": False, "user": user, **self._way()}

    def _way(self) -> dict[str, Any]:
        """{address, port} after ssh's own configuration; empty if the connection is not SSH."""
        connection = self._connection
        if not hasattr(connection, "_build_command"):
            return {}
        program, host = connection.get_option("ssh_executable"), connection.get_option("host")
        connection.host = host
        words = connection._build_command(program, "ssh", "-G", host)
        # Without sshpass, which may stand before it and would wait for its pipe.
        words = words[words.index(program.encode()) :]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return {}
        settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        address, port = settings.get("hostname"), settings.get("port", "")
        if address is None:
            return {}
        return {"address": address, "port": int(port) if port.isdecimal() else 22}

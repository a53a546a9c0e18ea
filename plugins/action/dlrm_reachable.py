"""Waits a bounded time until a machine answers an echo, and asks it for nothing more."""

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
# What ssh says of an unknown name, and of an address for documentation (RFC 5737).
WRONG = re.compile(r"resolve hostname (\S+):|host ((192\.0\.2|198\.51\.100|203\.0\.113)\.\d+) port")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        # Messages name the delegate.
        name = self._task.delegate_to or task_vars["inventory_hostname"]
        timeout = float(self._task.args.get("timeout", 60))
        ends = time.monotonic() + timeout
        self._leave_hung_master(name)
        while True:
            reason = self._reason()
            if not reason:
                return {**result, "changed": False}
            if "Name or service not known" in reason or time.monotonic() >= ends:
                waited = timeout - max(ends - time.monotonic(), 0)
                said = f"{name} did not answer within {waited:.0f} s: {reason}"
                said += _hint(reason, name, task_vars.get("ansible_inventory_sources") or [])
                return {**result, "failed": True, "msg": said}
            # Do not use a broken connection again.
            if hasattr(self._connection, "reset"):
                self._connection.reset()
            time.sleep(PAUSE_SECONDS)

    def _reason(self) -> str:
        """Why it does not answer; empty when it does."""
        try:
            answer = self._low_level_execute_command(f"echo {WORD}", sudoable=False)
        except AnsibleConnectionFailure as error:
            return str(error)
        if WORD in answer["stdout"]:
            return ""
        return answer["stderr"].strip() or f"an echo ended with exit code {answer['rc']}"

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


def _hint(reason: str, name: str, sources: list[str]) -> str:
    """Where to put the right address, if ssh says that this one is no machine's."""
    if not (found := WRONG.search(reason)):
        return ""
    wrong = "does not resolve here" if found[1] else "is reserved for documentation"
    place = f"ansible_host of {name}, in the inventory ({', '.join(sources)})"
    return f". {found[1] or found[2]} {wrong}. Put the machine's own address into {place}."

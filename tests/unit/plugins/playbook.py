"""Runs a small playbook against this machine, as a user does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]


def start(
    folder: Path,
    tasks: list[dict[str, Any]],
    *options: str,
    variables: dict[str, Any] | None = None,
    connection: str = "local",
) -> subprocess.Popen[str]:
    """ansible-playbook in a process group of its own; its output is one stream."""
    folder.mkdir(exist_ok=True)
    host = {
        "ansible_connection": connection,
        "ansible_python_interpreter": sys.executable,
        **(variables or {}),
    }
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": {"node1": host}}}))
    play = [{"name": "Play", "hosts": "all", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(play))
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }
    program = [str(Path(sys.executable).with_name("ansible-playbook")), "play.yml"]
    return subprocess.Popen(
        [*program, "-i", "inventory.json", *options],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Ended:
    """`words`: the output with all white space as single blanks."""

    pid: int
    code: int
    output: str

    @property
    def words(self) -> str:
        return " ".join(self.output.split())


def run(folder: Path, tasks: list[dict[str, Any]], *options: str, **others: Any) -> Ended:
    process = start(folder, tasks, *options, **others)
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.pid, process.returncode, output)


def saved(folder: Path) -> list[dict[str, Any]]:
    """A task that keeps what the one before registered as `seen`."""
    copy = {"content": "{{ seen | to_json }}", "dest": f"{folder}/seen.json"}
    return [{"name": "Keep", "ansible.builtin.copy": copy, "delegate_to": "localhost"}]


def seen(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return document

"""Reads the request of a small inventory, as the first play of a run does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
TASKS = str(REPOSITORY / "playbooks/tasks/run/request.yml")


@dataclass
class Inventory:
    """A folder as inventories/onprem; every host is this machine, 'archive' is the storage node."""

    folder: Path
    hosts: dict[str, dict[str, Any]]
    # Path below the inventory -> text.
    files: dict[str, str] = field(default_factory=dict)
    # Group -> variables of hosts.yml.
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self) -> Path:
        made = self.folder / "inventory"
        made.mkdir()
        for name in ("groups.yml", "group_vars"):
            (made / name).symlink_to(REPOSITORY / "inventories/common" / name)
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {name: {**here, **variables} for name, variables in self.hosts.items()}
        members = {"benchmark_hosts": {"hosts": hosts}, "storage": {"hosts": {"archive": here}}}
        groups = {name: {"vars": variables} for name, variables in self.groups.items()}
        children = {
            name: {**members.get(name, {}), **groups.get(name, {})} for name in {*members, *groups}
        }
        # JSON is YAML.
        (made / "hosts.yml").write_text(json.dumps({"all": {"children": children}}))
        for name, text in self.files.items():
            path = made / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return made


@dataclass(frozen=True)
class Read:
    """`words`: the output with all white space as single blanks; `hosts`: what each host keeps."""

    code: int
    words: str
    hosts: dict[str, dict[str, Any]]


def read(inventory: Inventory, *options: str, tasks: list[dict[str, Any]] | None = None) -> Read:
    """Run the tasks of run/request.yml, then `tasks`, in a play as that of run_benchmark.yml."""
    kept = inventory.folder / "kept"
    kept.mkdir()
    facts = {"request": "request", "sha256": "request_sha256", "secrets": "secret_files"}
    each = ", ".join(f"'{k}': dlrm_{name} | default(none)" for k, name in facts.items())
    content = f"{{{{ {{{each}}} | to_json }}}}"
    keep = {"content": content, "dest": f"{kept}/{{{{ inventory_hostname }}}}.json"}
    play = {
        "name": "Read the request",
        "hosts": "benchmark_hosts:localhost",
        "gather_facts": False,
        "tasks": [
            {"name": "Check it", "ansible.builtin.import_tasks": TASKS},
            {"name": "Keep", "ansible.builtin.copy": keep, "delegate_to": "localhost"},
            *(tasks or []),
        ],
    }
    (inventory.folder / "play.yml").write_text(json.dumps([play]))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "play.yml", "-i", str(inventory.write()), *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        cwd=inventory.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    found = {path.stem: json.loads(path.read_text()) for path in kept.iterdir()}
    return Read(done.returncode, " ".join((done.stdout + done.stderr).split()), found)

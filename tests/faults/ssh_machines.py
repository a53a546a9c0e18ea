"""Machines that only answer SSH, and this one, to test how a fleet's hosts are accounted for."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.dlrm_fleet.request.request import normalise, request_sha256
from ansible.module_utils.dlrm_fleet.results import record

from fleet import images, owner
from fleet.engine import REPOSITORY, command, docker, wait_until
from product_tables import PRECISIONS

NAME = "structure"
RUN_ID = "20260131T120000Z-0a1b2c"
REQUEST = {"precision": "int8", "profile": "demo"}
# Machines of these tests answer at once or never.
IMPATIENT = {"ansible_ssh_timeout": 5, "ansible_ssh_retries": 0}
# Tests install no timer on this machine.
QUIET = {"dlrm_storage_timer": False}
SSHD = """
install -d -m 0700 -o bench -g bench /home/bench/.ssh
printf '%s\\n' "$KEY" >/home/bench/.ssh/authorized_keys
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e
"""


@dataclass
class Machines:
    """Containers by name, below one folder; this machine is 'here', with a run that passed."""

    folder: Path
    addresses: dict[str, str] = field(default_factory=dict)
    # Additions to Ansible's environment, for one test.
    settings: dict[str, str] = field(default_factory=dict)

    def container(self, name: str) -> str:
        return f"dlrm-{NAME}-{owner.session()}-{name}"

    def start(self, *names: str) -> None:
        owner.remove_stale()
        key = self.folder / "key"
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        image = images.host_image()
        entry = ["--entrypoint", "bash", "--env", f"KEY={(self.folder / 'key.pub').read_text()}"]
        known = []
        for name in names:
            container = self.container(name)
            docker(
                *("run", "--detach", "--name", container, "--hostname", name),
                *(*owner.labels(NAME), *entry, image, "-c", SSHD),
            )
            form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            self.addresses[name] = docker("inspect", "--format", form, container).strip()
            public = docker("exec", container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
            known.append(f"{self.addresses[name]} {' '.join(public.split()[:2])}\n")
        (self.folder / "known_hosts").write_text("".join(known))
        for name in names:
            wait_until(partial(self._answers, name), f"{name} answers SSH")
        self._plant_run()

    def _answers(self, name: str) -> bool:
        listens = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3"
        said = docker("exec", self.container(name), "bash", "-c", listens, check=False)
        return said.startswith("SSH")

    def remove(self) -> None:
        owner.remove(NAME)

    def _plant_run(self) -> None:
        """A closed run of REQUEST on 'here' and its record on the storage node."""
        self._write_closed_run(self.folder / "root/runs" / RUN_ID)
        self._write_record("here")

    def plant_closed_run(self, name: str) -> None:
        """The same on a machine that answers SSH."""
        run = self.folder / name / RUN_ID
        self._write_closed_run(run)
        docker("exec", self.container(name), "mkdir", "-p", "/srv/dlrm/runs")
        docker("cp", str(run), f"{self.container(name)}:/srv/dlrm/runs/")
        self._write_record(name)

    def _write_closed_run(self, run: Path) -> None:
        lock = {
            "schema_version": 1,
            "run_id": RUN_ID,
            "request_sha256": request_sha256(normalise(REQUEST, PRECISIONS)),
            "controller": {"id": "a@b", "machine_id": "c", "pid": 1, "pid_started": 1},
            "opened_at": "2026-01-31T12:00:00Z",
            "deadline": "2026-01-31T13:00:00Z",
            "lease_until": "2026-01-31T12:01:30Z",
        }
        run.mkdir(parents=True)
        (run / "run.lock").write_text(json.dumps(lock))
        closed = {"schema_version": 1, "run_id": RUN_ID, "closed_at": "2026-01-31T12:05:00Z"}
        (run / "closed.json").write_text(json.dumps(closed))

    def _write_record(self, name: str) -> None:
        stored = self.folder / "storage/runs" / RUN_ID / name
        (stored / "performance").mkdir(parents=True)
        (stored / "performance/mlperf_log_summary.txt").write_text("LoadGen's own words\n")
        document = json.loads((REPOSITORY / "docs/contracts/examples/run.json").read_text())
        document["run_id"] = RUN_ID
        document["host"]["name"] = name
        document["files"] = record.list_files(stored)
        record.write(stored, document)

    def inventory(self, name: str, hosts: dict[str, dict[str, Any]], storage: str = "here") -> Path:
        """A folder as inventories/onprem; `hosts`: benchmark host -> variables of its own."""
        folder = self.folder / name
        folder.mkdir()
        for shared in ("groups.yml", "group_vars"):
            (folder / shared).symlink_to(REPOSITORY / "inventories/common" / shared)
        every = {one: {**self._reached(one), **hosts.get(one, {})} for one in {*hosts, storage}}
        groups = {
            "benchmark_hosts": {"hosts": dict.fromkeys(hosts)},
            "storage": {"hosts": {storage: None}},
            "cloud_none": {"hosts": dict.fromkeys(every)},
        }
        (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": every, "children": groups}}))
        return folder

    def _reached(self, name: str) -> dict[str, Any]:
        if name == "here":
            python = "{{ ansible_playbook_python }}"
            return {
                "ansible_connection": "local",
                "ansible_python_interpreter": python,
                "dlrm_host_root": str(self.folder / "root"),
                "dlrm_host_home": str(self.folder / "home"),
                **QUIET,
            }
        known = f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=yes"
        return {
            "ansible_host": self.addresses[name],
            "ansible_user": "bench",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": known,
            **IMPATIENT,
            **QUIET,
        }

    def play(
        self,
        inventory: Path,
        *arguments: str,
        playbook: str = "run_benchmark.yml",
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook; the caller checks the exit code, stdout has all output."""
        settings = {
            "precision": REQUEST["precision"],
            "dlrm_storage_root": str(self.folder / "storage"),
            "dlrm_verdict_dir": str(self.folder / "verdicts"),
            "dlrm_connection_timeout_seconds": 5,
            **variables,
        }
        (self.folder / "home").mkdir(exist_ok=True)
        asked = [images.program("ansible-playbook"), playbook, "-i", str(inventory), *arguments]
        return subprocess.run(
            [*asked, "-e", json.dumps(settings)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
            env=self.environment(),
        )

    def environment(self) -> dict[str, str]:
        # No SSH master: its socket's path would be too long, and it would outlive the test.
        return {
            **os.environ,
            **images.ansible_environment(ANSIBLE_SSH_ARGS="-o ControlMaster=no"),
            **self.settings,
        }

    def verdict(self) -> dict[str, Any]:
        """The newest verdict on this machine."""
        [*_, newest] = sorted(self.verdicts("verdict-*.json"), key=lambda one: one.stat().st_mtime)
        document: dict[str, Any] = json.loads(newest.read_text())
        return document

    def verdicts(self, pattern: str) -> Iterable[Path]:
        return (self.folder / "verdicts").glob(pattern)

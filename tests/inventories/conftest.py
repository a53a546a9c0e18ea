"""Runs Ansible against stand-ins of the clouds on this machine (see stand_in/)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
AZURE = {
    "AZURE_TENANT": "11111111-1111-1111-1111-111111111111",
    "AZURE_SUBSCRIPTION_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_ID": "test",
    "AZURE_SECRET": "test",
}
AWS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:5017",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}
# What `gcloud auth application-default login` writes, with secrets that open nothing.
GOOGLE_CREDENTIALS = {
    "type": "authorized_user",
    "client_id": "test",
    "client_secret": "test",
    "refresh_token": "test",
}


@dataclass
class Clouds:
    """The running stand-ins, and the project's inventories with a Google project set."""

    pid: int
    folder: Path
    inventories: Path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this Python environment where the clouds' host names lead here."""
        program = Path(sys.executable).parent / command[0]
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", f"--wd={ROOT}"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        return subprocess.run(
            [*enter, str(program), *command[1:]],
            env={
                "PATH": os.environ["PATH"],
                # Without the user's own credentials, collections and SSH settings.
                "HOME": str(self.folder),
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "REQUESTS_CA_BUNDLE": str(self.folder / "ca.pem"),
                "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "google.json"),
                "PYTHONPATH": str(HERE / "azure_sdk"),
                **AWS,
                **AZURE,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )

    def resolve(
        self, *names: str, output: Path, extra: dict[str, str] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Each host's variables as a play sees them, templates resolved."""
        output.mkdir()
        sources = [part for name in names for part in ("-i", str(self.inventories / name))]
        # Plays and roles set facts while they run; facts.json holds an example of each.
        facts = json.loads((HERE / "facts.json").read_text())
        variables = json.dumps({**facts, "output": str(output), **(extra or {})})
        done = self.run("ansible-playbook", *sources, "-e", variables, str(HERE / "resolve.yml"))
        assert done.returncode == 0, done.stdout + done.stderr
        return {path.stem: json.loads(path.read_text()) for path in output.glob("*.json")}


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    folder = tmp_path_factory.mktemp("clouds")
    inventories = folder / "inventories"
    shutil.copytree(ROOT / "inventories", inventories, symlinks=True)
    config = inventories / "gcp" / "gcp_compute.yml"
    config.write_text(config.read_text().replace("- YOUR-PROJECT", "- dlrm-fleet"))
    (folder / "google.json").write_text(json.dumps(GOOGLE_CREDENTIALS))
    unshare = ["unshare", "--mount", "--net"]
    if os.geteuid() != 0:
        unshare.append("--map-root-user")
    log = folder / "stand_in.log"
    with log.open("w") as errors:
        server = subprocess.Popen(
            [*unshare, sys.executable, "-m", "tests.inventories.stand_in", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdin is not None
    assert server.stdout is not None
    with server:
        ready = server.stdout.readline()
        assert ready == "ready\n", log.read_text()
        yield Clouds(server.pid, folder, inventories)
        server.stdin.close()

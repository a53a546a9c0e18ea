"""A private world on this machine: own root, home and storage, the real playbook and Docker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# Small enough for seconds, large enough that calibrate and performance can be interrupted.
SMALL = {"row_cap": 20000, "data_rows": 30000, "min_duration": 5}


@dataclass
class Fleet:
    """This machine as host and storage node, below one folder."""

    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    # Additions to the command's environment.
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def command(self, *arguments: str, **variables: Any) -> list[str]:
        settings = {
            "dlrm_host_root": str(self.root),
            "dlrm_host_home": str(self.home),
            "dlrm_storage_root": str(self.storage),
            **SMALL,
            **self.variables,
            **variables,
        }
        playbook = [str(Path(sys.executable).parent / "ansible-playbook"), "run_benchmark.yml"]
        return [*playbook, "-i", "inventories/local", *arguments, "-e", json.dumps(settings)]

    def start(self, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """The playbook in a session of its own, so that a kill reaches all its processes."""
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            self.command(*arguments, **variables),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
                **self.environment,
            },
        )

    def run(self, *arguments: str, succeeds: bool = True, **variables: Any) -> str:
        process = self.start(*arguments, **variables)
        output, _ = process.communicate(timeout=900)
        assert (process.returncode == 0) is succeeds, f"exit {process.returncode}\n{output[-6000:]}"
        return output

    def stage_documents(self, stage: str) -> list[dict[str, Any]]:
        return [
            json.loads(path.read_text()) for path in self.root.glob(f"stages/{stage}/*/stage.json")
        ]

    def attempts(self, stage: str) -> int:
        return len(list(self.root.glob(f"stages/{stage}/*/attempts/*/request.json")))

    def runs(self) -> list[dict[str, Any]]:
        """Every stored record, oldest first."""
        paths = sorted(self.storage.glob("runs/*/*/run.json"))
        return [json.loads(path.read_text()) for path in paths]

    def remove(self) -> None:
        for container in containers(mount=self.folder):
            subprocess.run(
                ["docker", "rm", "--force", container["Id"]], check=False, capture_output=True
            )


def containers(stage: str | None = None, mount: Path | None = None) -> list[dict[str, Any]]:
    """`docker inspect` of the stage containers, or of those of one stage or below one folder."""
    filters = ["--filter", f"label=dlrm-fleet.stage={stage}" if stage else "label=dlrm-fleet.stage"]
    listing = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--no-trunc", *filters],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    if not listing:
        return []
    inspected = subprocess.run(
        ["docker", "inspect", *listing], check=False, capture_output=True, text=True
    ).stdout
    found: list[dict[str, Any]] = json.loads(inspected or "[]")
    if mount is None:
        return found
    return [
        one
        for one in found
        if any(bind["Source"].startswith(f"{mount}/") for bind in one["Mounts"])
    ]


def wait_for_stage(
    fleet: Fleet, stage: str, process: subprocess.Popen[str], timeout: float = 600
) -> dict[str, Any]:
    """The stage's running container, as soon as there is one."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for container in containers(stage, fleet.folder):
            if container["State"]["Running"]:
                return container
        if process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            raise AssertionError(
                f"ended ({process.returncode}) before {stage} ran:\n{output[-6000:]}"
            )
        time.sleep(0.05)
    raise AssertionError(f"{stage} did not start within {timeout} s")


def kill_controller(process: subprocess.Popen[str]) -> None:
    """SIGKILL to ansible-playbook and every process it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

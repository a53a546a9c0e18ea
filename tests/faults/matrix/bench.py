"""One host of the fleet as a test sees it: its controller, its results, what must hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.engine import REPOSITORY, wait_until
from fleet.hosts import STORAGE, Fleet, Host

ROOT = "/srv/dlrm"
SMALL: dict[str, Any] = {"row_cap": 2000, "data_rows": 4000, "min_duration": 2}
# Stages whose outputs depend on their inputs only. Stages that measure differ each time.
EXACT = ("weights", "dataset", "dump", "calibrate")
# How long a run may last after the request's deadline, on a fast machine.
HANG_SECONDS = 60
SURVEY = (Path(__file__).parent / "survey.py").read_text()
HERE = Path(__file__).parent


@dataclass
class Ended:
    """How one controller ended."""

    code: int
    output: str

    @property
    def flat(self) -> str:
        return " ".join(self.output.split())


@dataclass
class Bench:
    """A prepared host, alone in an inventory with the storage node."""

    fleet: Fleet
    host: Host
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    # How long a whole run takes on this machine now, in seconds. Other bounds are its multiples.
    undisturbed_seconds: float = 120.0
    # Tasks before the verdict. A later kill changes nothing.
    tasks: int = 0
    process: subprocess.Popen[str] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def storage_root(self) -> str:
        return f"/srv/storage/{self.host.name}"

    @property
    def patience(self) -> float:
        """After how many seconds a controller counts as hanging."""
        return max(900.0, 20 * self.undisturbed_seconds)

    @property
    def short_deadline(self) -> str:
        """Long enough for a loaded machine to reach the phase, short enough for a test."""
        return f"{max(120, round(3 * self.undisturbed_seconds))}s"

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    @property
    def sockets(self) -> Path:
        return Path(tempfile.gettempdir()) / f"dlrm-cp-{os.getpid()}-{self.host.name}"

    def begin(self) -> None:
        """Clear what an earlier test left: variables, environment, gate, connections."""
        self.variables, self.environment, self.notes = {}, {}, []
        self.process = None
        self.gate.mkdir(parents=True, exist_ok=True)
        for name in ("hold", "reached"):
            (self.gate / name).unlink(missing_ok=True)

    def command(self, **variables: Any) -> list[str]:
        inventory = self.fleet.write_inventory(self.folder / "inventory", [self.host])
        settings = {
            "precision": "int8",
            "dlrm_storage_root": self.storage_root,
            # A lease in the way is a dead controller's, because nobody else uses this fleet.
            "run_wait": "5m",
            **SMALL,
            **self.variables,
            **variables,
        }
        return self.fleet.command(inventory=inventory, **settings)

    def popen(self, **variables: Any) -> subprocess.Popen[str]:
        plugins = f"{REPOSITORY}/plugins/callback:{HERE}/callback"
        environment = {
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "ANSIBLE_CALLBACK_PLUGINS": plugins,
            "DLRM_FAULT_GATE": str(self.gate),
            "DLRM_FAULT_GATE_ACTION": "dlrm_record",
            **self.environment,
        }
        return self.fleet.popen(
            self.command(**variables), log=self.folder / f"run-{time.time_ns()}.log", **environment
        )

    def start(self, **variables: Any) -> None:
        self.process = self.popen(**variables)

    def output(self, process: subprocess.Popen[str]) -> str:
        return self.fleet.log_of(process)

    def wait(self, seconds: float) -> Ended:
        """Wait for the controller's end. If it hangs, it is killed and the test fails."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            said = self.output(self.process)[-3000:]
            raise AssertionError(f"still running after {seconds:.0f} s:\n{said}") from None
        return Ended(self.process.returncode, self.output(self.process))

    def run(self, **variables: Any) -> Ended:
        self.start(**variables)
        return self.wait(self.patience)

    def survey(self) -> dict[str, Any]:
        said = self.host.run("python3", "-", ROOT, text=SURVEY)
        found: dict[str, Any] = json.loads(said)
        return found

    def exact(self, found: dict[str, Any]) -> dict[str, dict[str, str]]:
        """sha256 of the deterministic stages' files as they lie on the disk, by folder."""
        return {
            folder: stage["found"]
            for folder, stage in found["stages"].items()
            if folder.split("/")[0] in EXACT
        }

    def records(self) -> list[dict[str, Any]]:
        """run.json of this host's runs on the storage node, oldest first."""
        script = f"cat $(ls {self.storage_root}/runs/*/{self.host.name}/run.json | sort)"
        text = self.fleet.storage.shell(script, check=False)
        decoder, found, at = json.JSONDecoder(), [], 0
        while at < len(text):
            document, end = decoder.raw_decode(text, at)
            found.append(document)
            at = end + len(text[end:]) - len(text[end:].lstrip())
        return found

    def storage_problems(self) -> str:
        """Output of `sha256sum --check` on the storage node, and a list of partial files there."""
        script = (
            f"cd {self.storage_root} && for sums in runs/*/*/SHA256SUMS; do "
            '(cd "$(dirname "$sums")" && sha256sum --check --strict --quiet SHA256SUMS) 2>&1; done;'
            f"find . -name '*partial*'; for f in store/sha256/*/*; do "
            '[ "$(sha256sum <"$f" | cut -c1-64)" = "$(basename "$f")" ] || echo "damaged $f"; done'
        )
        return self.fleet.storage.shell(script, check=False).strip()

    def left_running(self) -> list[str]:
        """Processes of a run that should be over, on the host."""
        # A pipelined module shows only its interpreter's name.
        parts = "AnsiballZ|dlrm-fleet/venv/bin/python|dlrm-bench|rsync --server"
        return self.host.shell(f"pgrep -af '{parts}'", check=False).split("\n")[:-1]

    def assert_whole(
        self, before: dict[str, Any], baseline: dict[str, dict[str, str]], remade: int = 0
    ) -> None:
        """Check all that must hold for a recovered host; `remade`: how often it measured again."""
        wait_until(
            lambda: not self.left_running(),
            f"nothing of a run is left: {self.left_running()}",
            pause=1,
        )
        found = self.survey()
        assert self.exact(found) == baseline
        damaged = [
            f for f, s in found["stages"].items() if s["run_id"] and s["found"] != s["promised"]
        ]
        assert damaged == []
        assert found["containers"] == []
        assert [run for run, closed in found["runs"].items() if not closed] == []
        assert found["partial"] == []
        assert self.storage_problems() == ""
        record = self.records()[-1]
        assert record["verdict"]["status"] == "passed", record["verdict"]
        self._assert_once(before, found, record["run_id"], remade)

    def _assert_once(
        self, before: dict[str, Any], found: dict[str, Any], run_id: str, remade: int
    ) -> None:
        """Each missing stage ran once to its end; no finished stage ran again."""
        twice = {}
        for folder, stage in found["stages"].items():
            done = before["stages"].get(folder, {"whole": 0, "run_id": None})
            wanted = done["whole"] + (0 if done["run_id"] == stage["run_id"] else 1)
            # A stage damaged before its end was noted counts as failed.
            allowed = {wanted, wanted + remade} if folder.startswith("performance/") else {wanted}
            if stage["whole"] not in allowed:
                twice[folder] = (stage["whole"], wanted)
        assert twice == {}, "folder: (times it ran to its end, wanted)"
        measured = [s for f, s in found["stages"].items() if f.startswith("performance/")]
        assert [s["whole"] for s in measured if s["run_id"] == run_id] in ([1], [1 + remade])

    def end(self) -> None:
        """Kill what a failed test left running on this host."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        listed = "docker ps --all --quiet --filter label=dlrm-fleet.stage"
        self.host.shell(f"{listed} | xargs --no-run-if-empty docker rm --force", check=False)


__all__ = ["STORAGE", "Bench", "Ended"]

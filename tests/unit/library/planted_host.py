"""A host whose user plants things for root to stumble over, and modules that run there as root.

It knows the modules of library/ only, and a container engine of its own in place of Docker's.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
from ansible.module_utils.testing import patch_module_args
from tiny.machine import CATALOGUE, RUN, SHA, own_controller, request

import dlrm_host_root
import dlrm_run
import dlrm_stage

UID = GID = 65534
USER = f"{UID}:{GID}"
# Far more than any answer takes. What has not ended then waits for something that never comes.
LIMIT_SECONDS = 20
MEMORY_BYTES = 8 * 1024**3
HUGE_BYTES = 64 * 1024**3
PRECIOUS = b"only root writes this\n"


@contextmanager
def as_planter() -> Iterator[None]:
    os.setegid(GID)
    os.seteuid(UID)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Engine:
    """What the modules ask of the Docker SDK's client, all of it with root's rights."""

    def __init__(self, ended: dict[str, str] | None = None, running: bool = False) -> None:
        self.containers = self.images = self
        self.ended = ended
        self.running = running

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the engine was asked for {name}")

    def ping(self) -> None:
        assert os.geteuid() == 0

    def list(self, filters: dict[str, Any], **_options: Any) -> list[EndedContainer]:
        assert os.geteuid() == 0
        wanted = dict(label.split("=", 1) for label in filters["label"] if "=" in label)
        if self.ended is None or {**self.ended, **wanted} != self.ended:
            return []
        return [EndedContainer(self.ended, "running" if self.running else "exited")]

    def get(self, _image: str) -> Any:
        assert os.geteuid() == 0
        return type("Image", (), {"id": "sha256:1"})

    def create(self, name: str, labels: dict[str, str], **_options: Any) -> EndedContainer:
        assert os.geteuid() == 0
        assert name.startswith("dlrm-")
        return EndedContainer(labels, "running")


class EndedContainer:
    def __init__(self, labels: dict[str, str], status: str) -> None:
        self.name = "dlrm-made"
        self.labels = labels
        self.attrs = {
            "State": {
                "Status": status,
                "ExitCode": 3,
                "OOMKilled": False,
                "Error": "",
                "StartedAt": "2026-01-31T12:00:00.5Z",
                "FinishedAt": "2026-01-31T12:00:09.5Z",
            },
            "Mounts": [],
        }

    def logs(self, **_options: Any) -> Iterator[bytes]:
        assert os.geteuid() == 0
        yield b"what the container said\n"

    def remove(self, **_options: Any) -> None:
        assert os.geteuid() == 0

    start = reload = remove


class Host:
    """`root` belongs to the planter, all else to root: `victim` is a file, `vault` a folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="planter-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.root, self.home = self.folder / "dlrm", self.folder / "home"
        self.victim, self.vault = self.folder / "victim", self.folder / "vault"
        self._make_precious()
        self.home.mkdir()
        os.chown(self.home, UID, GID)
        self.controller = own_controller()
        self.before = self.outside()
        self.image = "dlrm-tiny:1"
        self.key = ""

    def _make_precious(self) -> None:
        self.victim.write_bytes(PRECIOUS)
        self.vault.mkdir()
        (self.vault / "precious").write_bytes(PRECIOUS)
        for path, mode in ((self.victim, 0o600), (self.vault, 0o755)):
            os.chown(path, 0, 0)
            path.chmod(mode)

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def keep(self) -> None:
        """What is below the root and in the home now comes back with restore()."""
        subprocess.run(["cp", "-a", self.root, self.home, self._kept()], check=True)

    def restore(self) -> None:
        for path in (self.root, self.home, self.vault):
            shutil.rmtree(path)
        self.victim.unlink()
        self._make_precious()
        subprocess.run(["cp", "-a", f"{self._kept()}/.", self.folder], check=True)

    def _kept(self) -> Path:
        folder = self.folder / "kept"
        folder.mkdir(exist_ok=True)
        return folder

    def outside(self) -> dict[str, Any]:
        """All that is root's, with its owner and mode."""
        return {
            str(path): (
                path.lstat().st_uid,
                path.lstat().st_mode,
                "" if path.is_dir() else path.read_bytes(),
            )
            for path in [self.victim, self.vault, *self.vault.rglob("*")]
        }

    def call(
        self,
        module: ModuleType,
        engine: Engine | None = None,
        before: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """The module's answer. `before` is called in its process, before it."""
        said = self.folder / "said"
        pid = os.fork()
        if pid == 0:
            run_and_exit(
                module, engine or Engine(), before, said, {"root": str(self.root), **arguments}
            )
        ends = time.monotonic() + LIMIT_SECONDS
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > ends:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError(f"{module.__name__} waits for ever")
            time.sleep(0.005)
        text = said.read_text()
        assert "Traceback" not in text, text
        answer: dict[str, Any] = json.loads(text)
        assert self.outside() == self.before
        return answer

    def prepare(self) -> None:
        """As after a first attempt of stage "made" was started."""
        assert not self.ensure_root().get("failed")
        assert not self.open().get("failed")
        started = self.stage()
        assert started["state"] == "running", started
        self.key = started["key"]

    def ensure_root(
        self, before: Callable[[], None] | None = None, **options: Any
    ) -> dict[str, Any]:
        return self.call(
            dlrm_host_root,
            before=before,
            **{
                "owner": USER,
                "home": str(self.home),
                "home_user": USER,
                "host": {"schema_version": 1, "name": "here"},
                **options,
            },
        )

    def open(self, state: str = "open", before: Callable[[], None] | None = None) -> dict[str, Any]:
        return self.call(
            dlrm_run,
            before=before,
            run_id=RUN,
            request_sha256=SHA,
            controller=self.controller,
            deadline_seconds=60,
            owner=USER,
            state=state,
        )

    def asked(self) -> dict[str, Any]:
        return {
            "catalogue": CATALOGUE,
            "request": request(),
            "run_id": RUN,
            "image": self.image,
            "controller": self.controller,
        }

    def stage(self, engine: Engine | None = None, **options: Any) -> dict[str, Any]:
        deadline = datetime.now(UTC) + timedelta(minutes=5)
        return self.call(
            dlrm_stage,
            engine,
            **{
                **self.asked(),
                "stage": "made",
                "user": USER,
                "deadline": f"{deadline:%Y-%m-%dT%H:%M:%SZ}",
                **options,
            },
        )

    def finish_stage(self, files: dict[str, bytes]) -> None:
        """As the container of stage "made" leaves it."""
        outputs = []
        with as_planter():
            for name, content in files.items():
                self.path(f"stages/made/KEY/{name}").write_bytes(content)
                digest = hashlib.sha256(content).hexdigest()
                outputs.append({"name": name, "bytes": len(content), "sha256": digest})
            document = {
                "schema_version": 1,
                "stage": "made",
                "key": self.key,
                "recipe": 1,
                "attempt": 1,
                "run_id": RUN,
                "parameters": {},
                "inputs": [],
                "outputs": outputs,
                "facts": {},
                "provenance": {},
                "started_at": "2026-01-31T12:00:00Z",
                "finished_at": "2026-01-31T13:00:00Z",
            }
            self.path("stages/made/KEY/stage.json").write_text(json.dumps(document))

    def labels(self, stage: str = "made") -> dict[str, str]:
        return {
            "dlrm-fleet": "stage",
            "dlrm-fleet.root": str(self.root),
            "dlrm-fleet.stage": stage,
            "dlrm-fleet.key": self.key,
            "dlrm-fleet.run_id": RUN,
            "dlrm-fleet.attempt": "1",
        }

    def path(self, name: str) -> Path:
        """KEY stands for the stage's folder."""
        return self.root / name.replace("KEY", self.key[:16])

    def plant(self, name: str, kind: str) -> None:
        path = self.path(name)
        with as_planter():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            KINDS[kind](self, path)


def _huge(_host: Host, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE_BYTES)


KINDS: dict[str, Callable[[Host, Path], Any]] = {
    "link": lambda host, path: path.symlink_to(host.victim),
    "new": lambda host, path: path.symlink_to(host.vault / "new"),
    "vault": lambda host, path: path.symlink_to(host.vault),
    "pipe": lambda _host, path: os.mkfifo(path),
    "closed": lambda _host, path: path.mkdir(mode=0),
    "huge": _huge,
}
# In place of a document.
TEXTS = {
    "deep": "[" * 200_000,
    "list": "[]",
    "empty": '{"schema_version": 1}',
    "numbers": '{"schema_version": 1, "a": NaN}',
}


def _text(text: str) -> Callable[[Host, Path], Any]:
    return lambda _host, path: path.write_text(text)


KINDS.update({kind: _text(text) for kind, text in TEXTS.items()})


def run_and_exit(
    module: ModuleType,
    engine: Engine,
    before: Callable[[], None] | None,
    said: Path,
    arguments: dict[str, Any],
) -> None:
    """In the child: its output goes into `said`."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        sys.stdout = os.fdopen(output, "w")
        docker.from_env = lambda **_options: engine  # type: ignore[assignment]
        if before is not None:
            before()
        with patch_module_args(arguments):
            module.main()
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(0)

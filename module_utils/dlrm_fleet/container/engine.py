"""The container engine. No other file imports the Docker SDK."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..base.rights import as_root
from .grace import KILL_AFTER_SECONDS, OVERDUE_SECONDS

# The engine answers slowly while it loads images or writes a lot.
CLIENT_TIMEOUT_SECONDS = 300
LOG_TAIL_BYTES = 1024 * 1024
END_SECONDS = 10
LABEL = "dlrm-fleet"


class EngineError(FleetError):
    """The engine does not answer, or answers with an error. Asking again may help."""


@dataclass(frozen=True)
class ContainerSpec:
    """How one attempt of one stage is started."""

    name: str
    image: str
    user: str
    seconds: int
    labels: dict[str, str]
    mounts: list[tuple[Path, str, bool]]  # (host path, container path, read-only)
    network: bool
    shm_bytes: int


@dataclass(frozen=True)
class Container:
    """What the engine knows about a container; `raw` is the SDK's object."""

    name: str
    labels: dict[str, str]
    status: str
    exit_code: int
    oom_killed: bool
    error: str
    started_at: str
    finished_at: str
    # Container path -> host path of what is mounted.
    paths: dict[str, str]
    raw: Any

    @property
    def alive(self) -> bool:
        """ "created" counts: its start is in progress, or whoever started it died."""
        return self.status in ("created", "running", "paused", "restarting")

    @property
    def overdue(self) -> bool:
        """It started and still lives after its time, by the monotonic clock, which nobody sets."""
        ends = self.labels.get(f"{LABEL}.ends")
        if ends is None or not self.alive or self.status == "created":
            return False
        return time.monotonic() > float(ends) + OVERDUE_SECONDS

    @property
    def attempt(self) -> int:
        return int(self.labels[f"{LABEL}.attempt"])


class Engine:
    """Connects on first use, so that check mode works where neither SDK nor engine is installed.

    It talks to the engine with root's rights, whatever rights its caller uses for files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            with as_root():
                self._client = _connect()
        return self._client

    @as_root()
    def image_id(self, image: str) -> str:
        """FleetError when this host does not have the image."""
        client = self.client
        import docker

        try:
            with _worded("cannot look up the image"):
                return str(client.images.get(image).id)
        except docker.errors.ImageNotFound:
            raise FleetError(
                f"image {image!r} is not on this host",
                "the container engine does not have it; somebody may have removed it",
                "Run again: role dlrm_image provides it before the stages",
            ) from None

    def containers(self, stage: str, key: str) -> list[Container]:
        """Those of this root, stage and key, running or not; newest attempt first."""
        return self._listed([f"{LABEL}.stage={stage}", f"{LABEL}.key={key}"])

    def others(self, key: str) -> list[Container]:
        """Living containers of this root with any other key."""
        found = [entry for entry in self._listed([LABEL]) if entry.alive]
        return [entry for entry in found if entry.labels.get(f"{LABEL}.key") != key]

    @as_root()
    def _listed(self, labels: list[str]) -> list[Container]:
        labels = [f"{LABEL}.root={self.root}", *labels]
        client = self.client
        with _worded("cannot list containers"):
            found = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
            listed = [_read(raw) for raw in found]
        return sorted(listed, key=lambda container: -container.attempt)

    @as_root()
    def start(self, spec: ContainerSpec) -> Container:
        """Create and start a container, or return the one with this name and these labels."""
        client = self.client
        import docker

        name = spec.name
        for _attempt in range(2):
            try:
                with _worded(f"cannot create container {name!r}"):
                    raw = client.containers.create(name=name, **_properties(spec))
                break
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                present = self._by_name(name)
                if present is not None and present.labels == {**present.labels, **spec.labels}:
                    return present
                # Another root on this engine has the same stage and key: ours gets another name.
                suffix = hashlib.sha256(str(self.root).encode()).hexdigest()[:6]
                name = f"{spec.name}-{suffix}"
        else:
            raise FleetError(
                f"cannot create container {name!r}", "the name is taken", "Remove that container"
            )
        try:
            with _worded(f"cannot start container {name!r}"):
                raw.start()
                raw.reload()
        except FleetError:
            raw.remove(force=True)
            raise
        return _read(raw)

    def _by_name(self, name: str) -> Container | None:
        import docker

        try:
            with _worded(f"cannot look up container {name!r}"):
                return _read(self.client.containers.get(name))
        except docker.errors.NotFound:
            return None

    @as_root()
    def log(self, container: Container) -> bytes:
        """The last 1 MiB of what it wrote to stdout and stderr."""
        kept = b""
        with _worded(f"cannot read the log of container {container.name!r}"):
            for block in container.raw.logs(stream=True, follow=False):
                kept = (kept + block)[-LOG_TAIL_BYTES:]
        return kept

    @as_root()
    def await_end(self, container: Container, seconds: float) -> None:
        """Returns when it has ended, at the latest after `seconds`. It does not poll."""
        import docker
        import requests

        until = time.monotonic() + seconds
        try:
            # To the engine, one that was only created has ended: wait() would return at once.
            if container.status != "created":
                container.raw.wait(timeout=seconds)
                return
        except docker.errors.NotFound:
            return
        except (docker.errors.DockerException, requests.RequestException, OSError):
            # Not ended in time, or the engine does not answer: the next look finds out.
            pass
        time.sleep(max(0.0, until - time.monotonic()))

    def end_overdue(self, containers: list[Container]) -> bool:
        """Kill those of `containers` whose time is over; True when there was one."""
        overdue = [container for container in containers if container.overdue]
        for container in overdue:
            self._end(container)
        return bool(overdue)

    @as_root()
    def _end(self, container: Container) -> None:
        import docker

        with _worded(f"cannot kill container {container.name!r}, which runs past its time"):
            try:
                if container.status == "paused":
                    container.raw.unpause()
                container.raw.kill()
            except docker.errors.APIError as error:
                # 409: no longer paused, or no longer running.
                if error.status_code not in (404, 409):
                    raise
            try:
                container.raw.wait(timeout=END_SECONDS)
            except docker.errors.NotFound:
                return

    @as_root()
    def remove(self, container: Container) -> None:
        import docker

        try:
            with _worded(f"cannot remove container {container.name!r}"):
                container.raw.remove(v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            # 409: somebody else's removal is in progress.
            if error.status_code != 409:
                raise


def _connect() -> Any:
    try:
        import docker
    except ImportError:
        raise FleetError(
            "cannot import the Docker SDK for Python (docker)",
            f"it is not installed for {sys.executable}",
            "Run role dlrm_host, which installs it, and set ansible_python_interpreter to the"
            " python of its virtual environment",
        ) from None
    with _worded("cannot reach the container engine"):
        client = docker.from_env(timeout=CLIENT_TIMEOUT_SECONDS)
        client.ping()
    return client


@contextmanager
def _worded(what: str) -> Iterator[None]:
    """Turns engine and transport errors into EngineError. The caller gets NotFound and 409."""
    import docker
    import requests

    try:
        yield
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError as error:
        if error.status_code == 409:
            raise
        raise EngineError(what, str(error.explanation or error)) from None
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineError(
            what, str(error), "Check that the engine runs and that this user may use its socket"
        ) from None


def _properties(spec: ContainerSpec) -> dict[str, Any]:
    from docker.types import LogConfig, Mount

    return {
        "image": spec.image,
        "entrypoint": [""],
        # Enforced inside, the deadline holds without controller and connection.
        "command": f"timeout -k {KILL_AFTER_SECONDS} {spec.seconds} dlrm-bench stage".split(),
        "user": spec.user,
        "environment": {"HOME": "/tmp"},
        "labels": spec.labels,
        "mounts": [
            Mount(target, str(source), type="bind", read_only=read_only)
            for source, target, read_only in spec.mounts
        ],
        "cap_drop": ["ALL"],
        # NUMA binding (mbind, set_mempolicy).
        "cap_add": ["SYS_NICE"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        # exec: torch's compiler loads what it builds there.
        "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=1g"},
        "network_mode": "default" if spec.network else "none",
        "init": True,
        "shm_size": spec.shm_bytes,
        "log_config": LogConfig(
            type=LogConfig.types.JSON, config={"max-size": "10m", "max-file": "2"}
        ),
        "detach": True,
    }


def _read(raw: Any) -> Container:
    state = raw.attrs["State"]
    return Container(
        name=raw.name,
        labels=dict(raw.labels),
        status=str(state["Status"]),
        exit_code=int(state["ExitCode"]),
        oom_killed=bool(state["OOMKilled"]),
        error=str(state["Error"]),
        started_at=str(state["StartedAt"]),
        finished_at=str(state["FinishedAt"]),
        paths={mount["Destination"]: mount["Source"] for mount in raw.attrs.get("Mounts") or []},
        raw=raw,
    )

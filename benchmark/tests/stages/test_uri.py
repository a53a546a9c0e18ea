"""Weights by a .uri, as MLCommons serves them: cut and killed ten times while they arrive."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import Pipeline, StageRoot

ROUNDS = 10
CHUNK_BYTES = 16 << 10


class Tap:
    """Lets a server send so many bytes; cut() ends every connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._left, self._cuts = 0, 0
        self.served: dict[str, int] = {}

    def allow(self, amount: int) -> None:
        with self._changed:
            self._left = amount
            self._changed.notify_all()

    def cut(self) -> None:
        with self._changed:
            self._cuts += 1
            self._left = 0
            self._changed.notify_all()

    @property
    def is_empty(self) -> bool:
        with self._changed:
            return self._left == 0

    @property
    def cuts(self) -> int:
        with self._changed:
            return self._cuts

    def take(self, path: str, most: int, since: int) -> int:
        """How many bytes of a file may be sent; 0 once its connection is cut."""
        with self._changed:
            self._changed.wait_for(lambda: self._left > 0 or self._cuts > since)
            if self._cuts > since:
                return 0
            amount = min(most, self._left)
            self._left -= amount
            self.served[path] = self.served.get(path, 0) + amount
            return amount


class Handler(http.server.BaseHTTPRequestHandler):
    folder: Path
    tap: Tap

    def do_GET(self) -> None:
        since = self.tap.cuts
        base, lists = "/base/", {}
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        lines = [
            f"{hashlib.md5(path.read_bytes()).hexdigest()}  ./{path.relative_to(self.folder)}"
            for path in sorted(files)
        ]
        host = self.headers["Host"]
        lists["/metadata/dlrm-v2-model-weights.uri"] = f"http://{host}/base\n".encode()
        lists["/metadata/dlrm-v2-model-weights.md5"] = "\n".join(lines).encode()
        if self.path in lists:
            self.send(lists[self.path], 0)
            return
        content = (self.folder / self.path.removeprefix(base)).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.send(content, start, lambda most: self.tap.take(self.path, most, since))

    def send(
        self, content: bytes, start: int, allowed: Callable[[int], int] = lambda most: most
    ) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.end_headers()
        while start < len(content) and (amount := allowed(min(CHUNK_BYTES, len(content) - start))):
            self.wfile.write(content[start : start + amount])
            self.wfile.flush()
            start += amount

    def log_message(self, *_arguments: Any) -> None:
        """Logs nothing."""


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
def address(demo: Pipeline, tap: Tap) -> Iterator[str]:
    folder = demo.stages["weights"].output / "model_weights"
    handler = type("Handler", (Handler,), {"folder": folder, "tap": tap})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/metadata/dlrm-v2-model-weights.uri"
        tap.cut()
        serving.shutdown()


def on_disk(root: StageRoot) -> int:
    """Bytes of files and parts of files that have arrived."""
    arrived = 0
    for place in ("parts", "files"):
        for path in (root.output / "fetched" / place).rglob("*"):
            # A part may become a file meanwhile.
            with suppress(FileNotFoundError):
                arrived += path.stat().st_size if path.is_file() else 0
    return arrived


def test_each_byte_is_fetched_once_though_it_is_cut_and_killed_ten_times(
    demo: Pipeline, tap: Tap, address: str, tmp_path: Path
) -> None:
    weights = demo.stages["weights"]
    sizes = {
        f"/base/{path.relative_to(weights.output / 'model_weights')}": path.stat().st_size
        for path in (weights.output / "model_weights").rglob("*")
        if path.is_file()
    }
    portion = sum(sizes.values()) // (2 * ROUNDS + 1)
    pipeline = Pipeline(tmp_path, **demo.parameters)
    attempt = 0

    def start() -> tuple[StageRoot, subprocess.Popen[str]]:
        nonlocal attempt
        attempt += 1
        root = StageRoot(tmp_path / "weights")
        root.ask("weights", source={"kind": "uri", "uri": address}, attempt=attempt, **asked)
        command, environment = root.command()
        return root, subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )

    def until_arrived(root: StageRoot, stage: subprocess.Popen[str]) -> None:
        """All that may be sent has been, and lies on the disk."""
        while not (tap.is_empty and on_disk(root) == sum(tap.served.values())):
            ended = stage.poll()
            assert ended is None, f"it ended with {ended}: {stage.communicate()[1]}"
            time.sleep(0.01)

    asked = pipeline.parameters
    for _round in range(ROUNDS):
        root, stage = start()
        for end in (tap.cut, lambda: os.kill(stage.pid, signal.SIGKILL)):  # noqa: B023
            tap.allow(portion)
            until_arrived(root, stage)
            end()
        stage.wait()
        tap.cut()
    root, stage = start()
    tap.allow(sum(sizes.values()))
    said = stage.communicate()[1]
    assert stage.returncode == 0, said
    assert tap.served == sizes
    outputs = {one["name"]: one["sha256"] for one in root.document()["outputs"]}
    assert outputs == {one["name"]: one["sha256"] for one in weights.document()["outputs"]}
    facts = root.document()["facts"]
    assert facts["files_with_listed_md5"] == facts["files"] == len(sizes)
    assert facts["published"] is False
    assert not (root.output / "fetched").exists()

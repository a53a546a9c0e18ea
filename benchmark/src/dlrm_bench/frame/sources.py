"""Finds or fetches the user's files: in a mounted folder, from an rclone remote, or by URLs."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dlrm_bench.frame import uri
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.download import Downloads, Wanted
from dlrm_bench.frame.errors import StageError, Unfinished
from dlrm_bench.frame.request import Source, dlrm_root
from dlrm_bench.frame.secrets import Secrets
from dlrm_bench.frame.status import StatusWriter


class Progress:
    """Counts work done in one phase and reports percent, rate and time left."""

    def __init__(self, status: StatusWriter, phase: str, total: int, unit: str) -> None:
        self._status, self._phase, self._total, self._unit = status, phase, total, unit
        self._done = 0
        self._lock = threading.Lock()
        self._started = time.monotonic()
        status.update(phase, 0.0)

    def add(self, amount: int) -> None:
        """Add `amount` units to those done."""
        with self._lock:
            self.set(self._done + amount)

    def set(self, done: int) -> None:
        """Set the units done so far."""
        self._done = done
        rate = done / max(time.monotonic() - self._started, 1e-9)
        left = (self._total - done) / rate if rate > 0 else None
        percent = 100.0 * done / self._total if self._total else None
        eta = None if left is None else round(max(left, 0.0), 1)
        self._status.update(self._phase, percent, round(rate, 1), self._unit, eta)


@dataclass(frozen=True)
class Fetched:
    """The user's files. `md5`: path below the folder -> md5, of each file that was checked.

    `sums`: where these md5 come from; `publishers`: whether that is MLCommons itself.
    """

    folder: Path
    md5: Mapping[str, str] = field(default_factory=dict)
    sums: str = ""
    publishers: bool = False


def fetch(ctx: StageContext) -> Fetched:
    """The user's files; remote ones are fetched to the stage's folder `fetched`."""
    source = ctx.request.source
    assert source is not None
    if source.kind == "folder":
        assert source.path is not None
        if not source.path.is_dir():
            raise StageError(
                f"source '{source.path}' cannot be read",
                "it is not a folder",
                "Give an absolute path of a folder on the benchmark host",
            )
        return Fetched(source.path)
    secrets = Secrets.read(dlrm_root())
    if source.kind == "rclone":
        folder = ctx.fetched_dir / "files"
        folder.mkdir(parents=True, exist_ok=True)
        _rclone(ctx, source, folder, secrets)
        return Fetched(folder)
    downloads = Downloads(ctx.fetched_dir, secrets, ctx.status)
    if source.kind == "uri":
        ctx.status.update(f"reading '{source.uri}'")
        wanted, sums = uri.wanted_files(downloads, source.uri), uri.list_address(source.uri)
    else:
        wanted = [Wanted(one["url"], str(file_name(one)), one["md5"]) for one in source.urls]
        sums = "the source's list"
    downloads.fetch(wanted)
    md5 = {file.name: file.md5 for file in wanted}
    return Fetched(downloads.files, md5, sums, uri.is_publishers(source.uri))


def file_name(entry: Mapping[str, str]) -> PurePosixPath:
    """Where a URL's file goes: its name, its path from model_weights/ on, or its last part."""
    path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(entry["url"]).path))
    if entry.get("name"):
        path = PurePosixPath(entry["name"])
    elif "model_weights" in path.parts:
        path = PurePosixPath(*path.parts[path.parts.index("model_weights") :])
    else:
        path = PurePosixPath(path.name)
    if not uri.is_below(str(path)):
        raise StageError(
            f"source URL '{entry['url']}' cannot be stored",
            f"its name '{path}' leaves the folder",
            "Give it a relative 'name'",
        )
    return path


def _rclone(ctx: StageContext, source: Source, folder: Path, secrets: Secrets) -> None:
    """rclone compares sizes and checksums itself, and retries.

    Its configuration and its messages lie in /tmp, which is memory, until secrets are hidden.
    """
    phase = f"fetching '{source.remote}'"
    progress = Progress(ctx.status, phase, 0, "bytes/s")
    log = ctx.attempt_dir / "rclone.txt"
    command = ["rclone", "copy", "--checksum", "--transfers", "8", "--stats", "0"]
    remote, configuration = secrets.remote(source.remote)
    with tempfile.TemporaryDirectory() as private:
        if configuration:
            path = Path(private) / "rclone.conf"
            path.write_text(configuration, encoding="utf-8")
            command += ["--config", str(path)]
        said = Path(private) / "messages" if configuration else log
        with said.open("wb") as errors:
            child = subprocess.Popen([*command, remote, str(folder)], stderr=errors)
            while child.poll() is None:
                progress.set(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()))
                time.sleep(1)
        if configuration:
            log.write_text(secrets.hide(said.read_text(errors="replace")))
    if child.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise Unfinished(
            f"cannot fetch '{source.remote}'",
            f"rclone ended with {child.returncode}: {' / '.join(lines) or 'no message'}",
            "Check the remote's name and its configuration, then run again",
        )

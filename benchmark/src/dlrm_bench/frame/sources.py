"""Finds or fetches the user's files: in a mounted folder, from an rclone remote, or by URL."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.request import Source, dlrm_root
from dlrm_bench.frame.secrets import Secrets
from dlrm_bench.frame.status import StatusWriter

ATTEMPTS = 5
TIMEOUT_SECONDS = 60
BLOCK_BYTES = 1 << 20


class Progress:
    """Counts work done in one phase and reports percent, rate and time left."""

    def __init__(self, status: StatusWriter, phase: str, total: int, unit: str) -> None:
        self._status, self._phase, self._total, self._unit = status, phase, total, unit
        self._done = 0
        self._started = time.monotonic()
        status.update(phase, 0.0)

    def add(self, amount: int) -> None:
        """Add `amount` units to those done."""
        self.set(self._done + amount)

    def set(self, done: int) -> None:
        """Set the units done so far."""
        self._done = done
        rate = done / max(time.monotonic() - self._started, 1e-9)
        left = (self._total - done) / rate if rate > 0 else None
        percent = 100.0 * done / self._total if self._total else None
        eta = None if left is None else round(max(left, 0.0), 1)
        self._status.update(self._phase, percent, round(rate, 1), self._unit, eta)


def fetch(ctx: StageContext) -> Path:
    """Folder with the user's files; remote files are fetched to the attempt's scratch folder."""
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
        return source.path
    folder = ctx.scratch_dir / "source"
    folder.mkdir(parents=True)
    secrets = Secrets.read(dlrm_root())
    if source.kind == "rclone":
        _rclone(ctx, source, folder, secrets)
    else:
        for number, entry in enumerate(source.urls, 1):
            phase = f"fetching file {number} of {len(source.urls)}"
            _download(ctx, entry, folder, phase, secrets)
    return folder


def file_name(entry: Mapping[str, str]) -> PurePosixPath:
    """Where a URL's file goes: its name, its path from model_weights/ on, or its last part."""
    path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(entry["url"]).path))
    if entry.get("name"):
        path = PurePosixPath(entry["name"])
    elif "model_weights" in path.parts:
        path = PurePosixPath(*path.parts[path.parts.index("model_weights") :])
    else:
        path = PurePosixPath(path.name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise StageError(
            f"source URL '{entry['url']}' cannot be stored",
            f"its name '{path}' leaves the folder",
            "Give it a relative 'name'",
        )
    return path


def _download(
    ctx: StageContext, entry: Mapping[str, str], folder: Path, phase: str, secrets: Secrets
) -> None:
    """Fetch one file, resume it after a broken connection, compare its md5.

    Messages name the plain URL. What a server or a library says may hold the whole one.
    """
    target = folder / file_name(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    phase = f"{phase}: {target.name}"
    what = f"cannot fetch '{entry['url']}'"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(ctx, entry["url"], target, phase, secrets)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                remedy = "Check the URL and who may read it"
                if entry["url"] in secrets.urls:
                    remedy = "Check the URL, and whether the signature in its secret file is valid"
                why = secrets.hide(f"HTTP {error.code} {error.reason}")
                raise StageError(what, why, remedy) from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                why = secrets.hide(f"{error} after {ATTEMPTS} attempts")
                raise StageError(what, why, "Check the host's network and run again") from None
        time.sleep(2**attempt / 2)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != entry["md5"]:
        size = target.stat().st_size
        why = f"its md5 is {found} ({size} bytes), wanted {entry['md5']}"
        raise StageError(what, why, "Correct the list or the file, then run again")


def _continue(ctx: StageContext, url: str, target: Path, phase: str, secrets: Secrets) -> None:
    have = target.stat().st_size if target.exists() else 0
    address, private = secrets.request(url)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    for name, value in private.items():
        # Not sent on to the host that a redirection names.
        request.add_unredirected_header(name, value)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise StageError(
            f"cannot fetch '{url}'", "it is neither http nor https", "Correct the list"
        )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else 0
        progress = Progress(ctx.status, phase, total, "bytes/s")
        with target.open("ab" if resumed else "wb") as file:
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                progress.add(len(block))
            size = file.tell()
    if total and size < total:
        raise ConnectionError(f"the connection ended after {size} of {total} bytes")


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
        raise StageError(
            f"cannot fetch '{source.remote}'",
            f"rclone ended with {child.returncode}: {' / '.join(lines) or 'no message'}",
            "Check the remote's name and its configuration, then run again",
        )

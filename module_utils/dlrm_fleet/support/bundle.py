"""What helps others to understand a failure: documents, ends of logs, versions; redacted."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ..base.documents import write_atomic
from .redact import redact

# A bundle is sent by mail, so it holds only the newest files of each kind, and their ends.
NEWEST_FILES = 40
FILE_BYTES = 64 * 1024
# Below the host's root, below the storage node's, below the controller's folder of verdicts.
HOST_PATTERNS = (
    "host.json",
    "runs/*/run.lock",
    "runs/*/opened.json",
    "runs/*/closed.json",
    "stages/*/*/stage.json",
    "stages/*/*/attempts/*/request.json",
    "stages/*/*/attempts/*/status.json",
    "stages/*/*/attempts/*/exit.json",
    "stages/*/*/attempts/*/log.txt",
)
STORAGE_PATTERNS = (
    "runs/*/verdict.json",
    "runs/*/*/run.json",
    "runs/*/*/performance/mlperf_log_summary.txt",
)
VERDICT_PATTERNS = ("verdict-*.json", "failed-*.limit")


def gather(root: Path, patterns: Iterable[str], below: str) -> dict[str, str]:
    """name in the bundle -> redacted end of the file; newest files of each pattern."""
    found: dict[str, str] = {}
    for pattern in patterns:
        paths = sorted((path for path in root.glob(pattern) if path.is_file()), key=_modified)
        for path in paths[-NEWEST_FILES:]:
            found[f"{below}/{path.relative_to(root).as_posix()}"] = read_end(path)
    return found


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read_end(path: Path) -> str:
    """The redacted end of a file, or why it cannot be read."""
    try:
        # Redact the whole text before cutting it: half a secret is not recognised.
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"[cannot be read: {error.strerror or error}]\n"
    return end_of(redact(text))


def end_of(text: str) -> str:
    if len(text) <= FILE_BYTES:
        return text
    kept = text[-FILE_BYTES:]
    return f"[{len(text) - len(kept)} characters before this are left out]\n{kept}"


def write_bundle(path: Path, top: str, files: dict[str, str]) -> None:
    """A tar.gz of texts below folder `top`, redacted once more; equal bytes for equal files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files):
            content = redact(files[name]).encode()
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    write_atomic(path, gzip.compress(buffer.getvalue(), mtime=0), 0o600)

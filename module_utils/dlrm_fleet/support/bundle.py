"""What helps others to understand a failure: documents, ends of logs, versions; redacted."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import Any

from ..base.documents import write_atomic
from .gather import READ_BYTES
from .redact import redact

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
VERDICT_PATTERNS = ("verdict-*.json", "failed-*.limit", "logs/*.log")

# A relative path of plain names: who unpacks the bundle gets files below its folder alone.
PART = r"[A-Za-z0-9 ._+=@,-]{1,255}"
NAME = re.compile(rf"(?:(?!\.\.?/){PART}/){{0,12}}(?!\.\.?\Z){PART}")
MOST_FILES = 2000
MOST_BYTES = 64 * 1024**2
LEFT_OUT = "left_out.txt"


def write_bundle(path: Path, top: str, files: dict[str, Any]) -> None:
    """A tar.gz of texts below folder `top`, redacted once more; equal bytes for equal files.

    The machine that gathered them is not trusted: a name that leaves the folder, what is no text,
    and what is too much is left out, and a file of the bundle says so.
    """
    buffer = io.BytesIO()
    left_out: list[str] = []
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, name in enumerate(sorted(files)):
            why = _refusal(name, files[name], number, buffer.tell())
            if why:
                left_out.append(f"{ascii(name)[:300]}: {why}\n")
            else:
                _add(archive, f"{top}/{name}", files[name])
        if left_out:
            _add(archive, f"{top}/{LEFT_OUT}", "".join(left_out[:MOST_FILES]))
    write_atomic(path, gzip.compress(buffer.getvalue(), mtime=0), 0o600)


def _refusal(name: str, text: Any, number: int, size: int) -> str:
    """Why a file is left out; empty when it is not."""
    if not NAME.fullmatch(name) or name == LEFT_OUT:
        return "its name is no relative path of plain names"
    if not isinstance(text, str):
        return f"it is no text but {type(text).__name__}"
    if number >= MOST_FILES or size + READ_BYTES > MOST_BYTES:
        return f"the bundle holds at most {MOST_FILES} files and {MOST_BYTES} bytes"
    return ""


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = redact(text[-READ_BYTES:]).encode("utf-8", "replace")
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))

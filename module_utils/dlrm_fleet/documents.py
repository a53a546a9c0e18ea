"""Documents on disk: JSON read with worded errors, written atomically; hashes and times."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

CHUNK_BYTES = 8 * 1024 * 1024
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
DISK_REMEDIES = {
    errno.ENOSPC: "Free space on that file system, then run again",
    errno.EDQUOT: "Free space or raise the user's quota, then run again",
    errno.EROFS: "Mount that file system writable, then run again",
    errno.EACCES: "Give the folder to its user, then run again",
    errno.EPERM: "Give the folder to its user, then run again",
    errno.EIO: "The disk reports errors: look at the host's kernel log",
}


class FleetError(Exception):
    """What failed on which object, why (wanted, found, units), what to do next."""

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        self.what = what
        self.why = why
        self.todo = todo
        super().__init__(str(self))

    def __str__(self) -> str:
        first = f"{self.what}: {self.why}" if self.why else self.what
        return " ".join(_sentence(part) for part in (first, self.todo) if part)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else text + "."


def read_json(path: str | os.PathLike[str], schema_version: int | None = 1) -> dict[str, Any]:
    """The JSON object in path; `schema_version` None: any version."""
    what = f"cannot read {os.fspath(path)!r}"
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FleetError(what, "there is no such file") from None
    except IsADirectoryError:
        raise FleetError(
            what, "it is a directory, a JSON file is wanted", "Move the directory away"
        ) from None
    except UnicodeDecodeError as error:
        raise FleetError(what, f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise FleetError(what, error.strerror or str(error)) from None
    try:
        document = json.loads(text)
    except ValueError as error:
        why = f"it is empty or truncated after {len(text.encode())} bytes ({error})"
        raise FleetError(what, why, "Remove it and run again, it is made anew") from None
    if not isinstance(document, dict):
        raise FleetError(what, f"a JSON object is wanted, found {type(document).__name__}")
    found = document.get("schema_version")
    if schema_version is not None and found != schema_version:
        raise FleetError(
            what,
            f"schema_version {schema_version} is wanted, found {found!r}",
            "It was written by another release of dlrm-fleet: use that one, or remove the file",
        )
    return document


def write_json_atomic(
    path: str | os.PathLike[str], document: dict[str, Any], mode: int = 0o644
) -> None:
    """Readers see the old file or the new one, also after a power cut."""
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.partial")
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fchmod(handle.fileno(), mode)
            os.fsync(handle.fileno())
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        # Full disk or not, the old file stands and no half one stays.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise disk_error(f"cannot write {str(target)!r}", error) from None


class DiskError(FleetError):
    """A disk that is full, read-only or broken."""


def disk_error(what: str, error: OSError) -> DiskError:
    """The system's reason, and what a user can do about it."""
    return DiskError(what, error.strerror or str(error), DISK_REMEDIES.get(error.errno or 0, ""))


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make a rename in path survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(document: object) -> str:
    """One text for equal documents: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: str | os.PathLike[str], progress: Callable[[int], None] | None = None) -> str:
    """`progress` is called with the bytes read so far."""
    digest = hashlib.sha256()
    done = 0
    try:
        with Path(path).open("rb", buffering=0) as handle:
            while block := handle.read(CHUNK_BYTES):
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done)
    except OSError as error:
        raise FleetError(f"cannot hash {os.fspath(path)!r}", error.strerror or str(error)) from None
    return digest.hexdigest()


def utc_now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def format_time(moment: datetime) -> str:
    """UTC, RFC 3339, seconds: 2026-01-31T23:59:59Z."""
    return moment.astimezone(timezone.utc).strftime(TIME_FORMAT)


def parse_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        raise FleetError(
            f"cannot read the time {text!r}", "YYYY-mm-ddTHH:MM:SSZ (UTC) is wanted"
        ) from None

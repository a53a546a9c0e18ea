"""Reads and writes JSON documents on disk; hashes files and texts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import FleetError, disk_error

CHUNK_BYTES = 8 * 1024 * 1024


def read_json(path: str | os.PathLike[str], schema_version: int | None = 1) -> dict[str, Any]:
    """The JSON object in `path`; `schema_version` None accepts any version.

    Raises FleetError when there is none. Its words may enter run.json: see judge/verdict.py.
    """
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
    """A document as write_atomic writes it."""
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomic(path, text.encode(), mode)


def write_atomic(
    path: str | os.PathLike[str],
    content: bytes,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
) -> None:
    """Readers see the old file or the new one, even after a power cut. Raises DiskError.

    `owner`: uid and gid.
    """
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as handle:
            os.fchmod(handle.fileno(), mode)
            if owner is not None:
                os.fchown(handle.fileno(), *owner)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        # The old file stays; the half-written one goes.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise disk_error(f"cannot write {str(target)!r}", error) from None


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make a rename in path survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(document: object) -> str:
    """Equal documents give equal texts: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: str | os.PathLike[str], progress: Callable[[int], None] | None = None) -> str:
    """Hexadecimal; `progress` is called with the number of bytes read so far."""
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


def read_text(path: Path) -> str | None:
    """The text; None when there is no such file or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None

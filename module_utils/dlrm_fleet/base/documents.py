"""Reads and writes JSON documents on disk; hashes files and texts."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import FleetError, disk_error
from .opening import NotRegular, open_regular, read_regular

CHUNK_BYTES = 8 * 1024 * 1024
# No document and no log that is read as a whole is larger.
MOST_BYTES = 64 * 1024 * 1024


def read_json(path: str | os.PathLike[str], schema_version: int | None = 1) -> dict[str, Any]:
    """The JSON object in `path`, a regular file; `schema_version` None accepts any version.

    Raises FleetError when there is none. Its words may enter run.json: see judge/verdict.py.
    What a container or another user writes is read by wire/documents.py, which is stricter.
    """
    return parse_json(read_document(path), path, schema_version)


def read_document(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> bytes:
    """The content of `path`, in read_json's words where it cannot be read."""
    what = f"cannot read {os.fspath(path)!r}"
    try:
        return read_regular(path, most_bytes)
    except FileNotFoundError:
        raise FleetError(what, "there is no such file") from None
    except NotRegular as error:
        if Path(path).is_dir():
            raise FleetError(
                what, "it is a directory, a JSON file is wanted", "Move the directory away"
            ) from None
        raise FleetError(what, str(error.strerror), "Remove it and run again") from None
    except OSError as error:
        raise FleetError(what, error.strerror or str(error)) from None


def parse_json(
    content: bytes, path: str | os.PathLike[str], schema_version: int | None = 1
) -> dict[str, Any]:
    """The JSON object that read_document read from `path`."""
    what = f"cannot read {os.fspath(path)!r}"
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()
        document = json.loads(text)
    except UnicodeDecodeError as error:
        raise FleetError(what, f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    except RecursionError:
        raise FleetError(what, "it is nested too deeply") from None
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
    path: str | os.PathLike[str],
    document: dict[str, Any],
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
) -> None:
    """A document as write_atomic writes it."""
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomic(path, text.encode(), mode, owner)


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
    # Nobody can plant a link under a name that he cannot guess.
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(8)}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as handle:
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


def sha256_file(
    path: str | os.PathLike[str],
    progress: Callable[[int], None] | None = None,
    follow: bool = True,
) -> str:
    """Hexadecimal; `progress` is called with the number of bytes read so far.

    `follow`: also of the regular file that a link at `path` names.
    """
    try:
        return sha256_descriptor(open_regular(path, follow=follow), progress)
    except OSError as error:
        raise FleetError(f"cannot hash {os.fspath(path)!r}", error.strerror or str(error)) from None


def sha256_descriptor(descriptor: int, progress: Callable[[int], None] | None = None) -> str:
    """As sha256_file, of an open file, which is closed. Raises OSError."""
    digest = hashlib.sha256()
    done = 0
    with os.fdopen(descriptor, "rb", buffering=0) as handle:
        while block := handle.read(CHUNK_BYTES):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def read_text(path: Path) -> str | None:
    """The text of a regular file; None if there is none, or it may not be read, or is too large."""
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError:
        return None
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace").read()

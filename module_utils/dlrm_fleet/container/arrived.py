"""An image archive that arrived on a host, copied out of reach and looked at; and one it offers."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..base.documents import CHUNK_BYTES
from ..base.errors import disk_error
from ..base.rights import as_owner_of
from ..wire.strict_json import Malformed
from .archive import ArchivedImage, check_image, read_archive


def look(path: Path, what: str) -> tuple[ArchivedImage, int, str]:
    """(its image, bytes, sha256) of an archive that this machine's engine saved."""
    with _opened(path, what) as handle:
        size, digest = os.fstat(handle.fileno()).st_size, hashlib.sha256()
        while block := handle.read(CHUNK_BYTES):
            digest.update(block)
        return read_archive(handle, what), size, digest.hexdigest()


def take(
    path: Path, copy: Path, what: str, size: int, sha256: str, name: str, image_id: str
) -> ArchivedImage:
    """Copy `path` to `copy`, which root alone can change, and check the copy.

    The folder of `path` belongs to a lesser user, who could change the file once it is checked.
    Malformed, and no copy stays, unless it is the archive of `name` and `image_id`.
    """
    try:
        with _opened(path, what) as source:
            found = os.fstat(source.fileno()).st_size
            if found != size:
                raise Malformed(what, f"it has {found} bytes, promised were {size}")
            return _copied(source, copy, what, size, sha256, name, image_id)
    except BaseException:
        with suppress(FileNotFoundError):
            copy.unlink()
        raise


def offer(path: Path, below: Path, what: str) -> Path:
    """A new folder below `below`, with a copy of `path` that all may read.

    `below` belongs to a lesser user: made with that user's rights, so that a link planted there
    leads no further than the user may go. Raises Malformed and DiskError.
    """
    with _opened(path, what) as source, as_owner_of(below):
        try:
            folder = Path(tempfile.mkdtemp(prefix="image.", dir=below))
            folder.chmod(0o755)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(folder / path.name, flags, 0o644), "wb") as target:
                os.fchmod(target.fileno(), 0o644)
                shutil.copyfileobj(source, target, CHUNK_BYTES)
        except OSError as error:
            raise disk_error(f"cannot offer {str(path)!r} below {str(below)!r}", error) from None
    return folder


def _copied(
    source: BinaryIO, copy: Path, what: str, size: int, sha256: str, name: str, image_id: str
) -> ArchivedImage:
    # What a killed load left.
    copy.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    digest, left = hashlib.sha256(), size
    try:
        with os.fdopen(os.open(copy, flags, 0o600), "w+b") as target:
            # What grows while it is read is bounded as well.
            while left and (block := source.read(min(CHUNK_BYTES, left))):
                digest.update(block)
                target.write(block)
                left -= len(block)
            if digest.hexdigest() != sha256:
                why = f"it arrived with sha256 {digest.hexdigest()}, promised was {sha256}"
                raise Malformed(what, why)
            target.flush()
            image = read_archive(target, what)
    except OSError as error:
        raise disk_error(f"cannot write {str(copy)!r}", error) from None
    check_image(image, what, name, image_id)
    return image


def _opened(path: Path, what: str) -> BinaryIO:
    """A regular file; no link is followed, and no pipe's other end awaited."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Malformed(what, error.strerror or str(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Malformed(what, "it is no regular file")
    return os.fdopen(descriptor, "rb")

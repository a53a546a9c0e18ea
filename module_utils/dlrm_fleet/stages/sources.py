"""A user's folder: each file hashed once, remembered by path, size, mtime and inode."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.documents import sha256_file, write_json_atomic
from ..base.errors import FleetError
from ..base.lenient import as_dict
from ..base.owner import inherit_owner
from ..base.rights import as_owner_of
from ..base.wording import number
from ..wire.documents import read_strictly
from ..wire.fields import SHA256
from ..wire.strict_json import Limits

# A folder of a million files.
LIMITS = Limits(size=512 * 1024**2, nodes=10_000_000)
CACHE_NAME = "source_hashes.json"
RECALLED_NAME = "source_elsewhere.json"


@dataclass(frozen=True)
class SourceFiles:
    """`files`: {name, bytes, sha256} of all; None while some are not hashed: see `line`."""

    files: list[dict[str, Any]] | None
    line: str


def known(root: Path, folder: str) -> SourceFiles:
    """What the cache knows; hashes nothing."""
    return hash_folder(root, folder, seconds=-1)


def hash_folder(
    root: Path, folder: str, seconds: float, alive: Callable[[], None] | None = None
) -> SourceFiles:
    """Hash whole files for about `seconds`. Call again until `files` is not None.

    `alive` is called every 8 MiB, so that a lease can be renewed.
    """
    with as_owner_of(Path(folder)):
        listed = _list(folder)
    cache = _read_cache(root)

    def keep() -> None:
        # The lease lies below the root, not in the user's folder.
        with as_owner_of(root):
            if alive is not None:
                alive()

    started = time.monotonic()
    changed = False
    for path, state in listed:
        if cache.get(str(path), {}).items() >= state.items():
            continue
        if time.monotonic() - started >= seconds:
            break
        with as_owner_of(Path(folder)):
            digest = sha256_file(path, None if alive is None else lambda _done: keep())
            if _state(path) != state:
                raise FleetError(
                    f"cannot use the file {str(path)!r}",
                    "it changed while it was being hashed",
                    "Wait until it is complete, then run again",
                )
        cache[str(path)] = {**state, "sha256": digest}
        changed = True
    if changed:
        write_json_atomic(root / CACHE_NAME, {"schema_version": 1, "files": cache})
        inherit_owner(root / CACHE_NAME)
    return _answer(folder, listed, cache)


def recalled(root: Path, folder: str) -> list[dict[str, Any]] | None:
    """The files of a folder that is not on this host, as the storage node named them, or None."""
    try:
        files = read_strictly(root / RECALLED_NAME, limits=LIMITS)["folders"].get(folder)
    except (FleetError, KeyError, AttributeError):
        return None
    return files if isinstance(files, list) else None


def recall(root: Path, folders: dict[str, list[dict[str, Any]]], check: bool) -> bool:
    """Keep what the storage node knows about folders; True when it was not known here."""
    try:
        before = as_dict(read_strictly(root / RECALLED_NAME, limits=LIMITS).get("folders"))
    except FleetError:
        before = {}
    after = {**before, **folders}
    if after == before:
        return False
    if not check:
        write_json_atomic(root / RECALLED_NAME, {"schema_version": 1, "folders": after})
        inherit_owner(root / RECALLED_NAME)
    return True


def _answer(
    folder: str, listed: list[tuple[Path, dict[str, int]]], cache: dict[str, dict[str, Any]]
) -> SourceFiles:
    ready = [path for path, state in listed if cache.get(str(path), {}).items() >= state.items()]
    if len(ready) == len(listed):
        files = [
            {
                "name": str(path.relative_to(folder)),
                "bytes": state["size"],
                "sha256": cache[str(path)]["sha256"],
            }
            for path, state in listed
        ]
        return SourceFiles(files, "")
    total = sum(state["size"] for _path, state in listed)
    done = sum(state["size"] for path, state in listed if path in set(ready))
    following = next((path, state) for path, state in listed if path not in set(ready))
    return SourceFiles(
        None,
        f"hashing {folder}, {100 * done // max(1, total)} % of {number(total, 'bytes')},"
        f" next {following[0].name} ({number(following[1]['size'], 'bytes')})",
    )


def _list(folder: str) -> list[tuple[Path, dict[str, int]]]:
    top = Path(folder)
    if not top.is_dir():
        raise FleetError(
            f"cannot use the folder {folder!r}",
            "it is a file" if top.exists() else "it does not exist on this host",
            "Give the absolute path of a folder on the benchmark host",
        )

    def refuse(error: OSError) -> None:
        raise FleetError(f"cannot list {error.filename!r}", error.strerror or str(error))

    paths = sorted(
        Path(where) / name for where, _, names in os.walk(top, onerror=refuse) for name in names
    )
    if not paths:
        raise FleetError(f"cannot use the folder {folder!r}", "it has no files")
    return [(path, _state(path)) for path in paths]


def _state(path: Path) -> dict[str, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise FleetError(f"cannot read {str(path)!r}", error.strerror or str(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise FleetError(f"cannot use {str(path)!r}", "it is no regular file", "Move it away")
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}


def _read_cache(root: Path) -> dict[str, dict[str, Any]]:
    """Empty when it cannot be read: everything is hashed again."""
    try:
        files = as_dict(read_strictly(root / CACHE_NAME, limits=LIMITS).get("files"))
    except FleetError:
        return {}
    return {
        path: state
        for path, state in files.items()
        if isinstance(state, dict) and SHA256.fullmatch(str(state.get("sha256")))
    }

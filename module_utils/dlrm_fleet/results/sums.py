"""SHA256SUMS completes a record; what was verified in full is kept beside the record's folder.

runs/<run_id>/<host>/SHA256SUMS          each file of the folder, in the format of sha256sum(1)
runs/<run_id>/.<host>.verified.json      size, time and sha256 of the SHA256SUMS that was verified
"""

from __future__ import annotations

import hashlib
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..base.documents import sha256_file, write_atomic, write_json_atomic
from ..base.errors import DiskError, FleetError
from ..wire.strict_json import DEFAULT, Malformed, read, read_bytes

RUN_NAME = "run.json"
SUMS_NAME = "SHA256SUMS"
# A line of sha256sum(1) for a file below the folder.
SUM = re.compile(r"([0-9a-f]{64})  ((?:(?!\.\.?(?:/|\Z))[^/\\]+/)*(?!\.\.?\Z)[^/\\]+)")


def is_complete(folder: Path) -> bool:
    """Verifies in full: SHA256SUMS is whole and every file in it has the content that it says.

    False if the sums are missing or torn. Raises FleetError if a file was changed or removed.
    """
    named = _named(_content(folder))
    if named is None:
        return False
    for name, sha256 in named.items():
        path = folder / name
        if not _is_file(path) or sha256_file(path) != sha256:
            raise damaged(folder, f"{name!r} does not have the sha256 that {SUMS_NAME} has")
    return True


def is_verified(folder: Path) -> bool:
    """Nothing changed since the folder was verified, as far as SHA256SUMS and run.json tell."""
    try:
        if read(_stamp_path(folder)) != _stamp(folder):
            return False
        named = _named(_content(folder)) or {}
        return named.get(RUN_NAME) == hashlib.sha256(_run_content(folder)).hexdigest()
    except (Malformed, OSError):
        return False


def keep_verified(folder: Path) -> None:
    """After is_complete() found it so. What cannot be kept is verified in full again."""
    path, stamp = _stamp_path(folder), _stamp(folder)
    with suppress(Malformed, OSError):
        if read(path) == stamp:
            return
    with suppress(DiskError):
        write_json_atomic(path, stamp)


def write_sums(folder: Path, files: list[dict[str, Any]]) -> bool:
    """False if they are there and true. `files`: path and sha256 of all but run.json."""
    if is_complete(folder):
        return False
    for file in files:
        (folder / file["path"]).chmod(0o444)
    write_atomic(folder / SUMS_NAME, _text(folder, files).encode(), 0o444)
    if not is_complete(folder):
        raise damaged(folder, f"{SUMS_NAME} does not read as it was written")
    return True


def damaged(folder: Path, why: str) -> FleetError:
    todo = "Restore that file from a backup, or move the folder away"
    return FleetError(f"the record {str(folder)!r} is damaged", why, todo)


def _text(folder: Path, files: list[dict[str, Any]]) -> str:
    """The format of sha256sum(1), read back by `sha256sum -c SHA256SUMS` in the folder."""
    listed = [*files, {"path": RUN_NAME, "sha256": sha256_file(folder / RUN_NAME)}]
    for file in listed:
        if "\n" in file["path"] or "\\" in file["path"]:
            raise FleetError(
                f"cannot record the file {file['path']!r}",
                "a name with a newline or backslash does not fit into SHA256SUMS",
            )
    listed.sort(key=lambda file: str(file["path"]))
    return "".join(f"{file['sha256']}  {file['path']}\n" for file in listed)


def _named(sums: str) -> dict[str, str] | None:
    """{path: sha256} of a whole SHA256SUMS; None if it is missing or torn."""
    if not sums.endswith("\n"):
        return None
    lines = [SUM.fullmatch(line) for line in sums[:-1].split("\n")]
    named = {match.group(2): match.group(1) for match in lines if match is not None}
    return named if len(named) == len(lines) and RUN_NAME in named else None


def _content(folder: Path) -> str:
    """SHA256SUMS as text; empty where it is missing or nothing that can be read."""
    try:
        return read_bytes(folder / SUMS_NAME, DEFAULT.size).decode("utf-8", "replace")
    except (Malformed, FileNotFoundError):
        return ""


def _run_content(folder: Path) -> bytes:
    return read_bytes(folder / RUN_NAME, DEFAULT.size)


def _stamp_path(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.verified.json"


def _stamp(folder: Path) -> dict[str, Any]:
    path = folder / SUMS_NAME
    seen = path.lstat()
    sha256 = hashlib.sha256(_content(folder).encode("utf-8", "surrogatepass")).hexdigest()
    sums = {"bytes": seen.st_size, "mtime_ns": seen.st_mtime_ns, "sha256": sha256}
    return {"schema_version": 1, "sums": sums}


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False

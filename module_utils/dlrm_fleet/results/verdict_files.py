"""The verdict's files on the controller: verdict-NAME.json, and failed-NAME.limit for --limit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..base.documents import write_atomic, write_json_atomic
from ..base.errors import FleetError, disk_error
from ..wire.strict_json import Malformed, read, read_bytes

# A host of an inventory, and nothing that --limit would take for a group or a pattern.
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
GROUPS = ("all", "ungrouped")
# Names of 100,000 hosts.
LIMIT_BYTES = 16 * 1024**2


class VerdictFiles:
    """Both are written whole or not at all.

    Attributes:
        written: the paths that are there, by 'verdict' and 'limit'.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.verdict = folder / f"verdict-{name}.json"
        self.limit = folder / f"failed-{name}.limit"
        self.written: dict[str, str] = {}

    def write(self, document: dict[str, Any], limit: list[str]) -> bool:
        """True if anything changed. An empty limit removes an earlier verdict's limit file: an
        empty file would address the whole fleet."""
        self.verdict.parent.mkdir(parents=True, exist_ok=True)
        changed = not _holds(self.verdict, document)
        if changed:
            write_json_atomic(self.verdict, document)
        self.written["verdict"] = str(self.verdict)
        if not limit:
            return self._remove() or changed
        try:
            text = "".join(f"{_plain(name)}\n" for name in limit).encode()
        except FleetError:
            self._remove()
            raise
        if _content(self.limit) != text:
            write_atomic(self.limit, text)
            changed = True
        self.written["limit"] = str(self.limit)
        return changed

    def _remove(self) -> bool:
        try:
            self.limit.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error(f"cannot remove {str(self.limit)!r}", error) from None
        return True


def _plain(name: str) -> str:
    if not HOST.fullmatch(name) or name in GROUPS:
        raise FleetError(
            f"cannot write a file for --limit with the host {name!r}",
            "--limit would take its name for a group or a pattern of other hosts",
            "Name the hosts that failed with --limit yourself, and rename that one",
        )
    return name


def _holds(path: Path, document: dict[str, Any]) -> bool:
    try:
        return bool(read(path) == document)
    except (Malformed, OSError):
        return False


def _content(path: Path) -> bytes | None:
    try:
        return read_bytes(path, LIMIT_BYTES)
    except (Malformed, OSError):
        return None

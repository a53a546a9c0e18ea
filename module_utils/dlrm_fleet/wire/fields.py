"""The fields of one foreign object, each read into a type. A wrong one is named by its place."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ..base.errors import FleetError
from ..base.times import parse_time
from .strict_json import Malformed, bounded, is_writable, shown

SHA256 = re.compile(r"[0-9a-f]{64}")
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
# A folder's or file's own name: no separator, no control character, no leading dash or dot.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
# One part of a path: as a name, but hidden files are files, too.
PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9._-]{0,254}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
# A file of 16 TiB is no artifact of ours.
LARGEST_FILE = 16 * 1024**4
MOST_FILES = 10_000


class Fields:
    """`what` cannot be used when a field is wrong; `place` says where in it this object stands."""

    def __init__(self, value: Any, what: str, place: str = "it") -> None:
        self.what = what
        self.place = place
        if not isinstance(value, dict):
            raise self.refusal(f"{place} must be an object, found {type(value).__name__}")
        self.values: dict[str, Any] = value

    def refusal(self, why: str) -> Malformed:
        return Malformed(self.what, why)

    def bad(self, name: str, wanted: str) -> Malformed:
        if name not in self.values:
            return self.refusal(f"{self._named(name)} is missing, {wanted} is wanted")
        return self.refusal(
            f"{self._named(name)} must be {wanted}, found {_said(self.values[name])}"
        )

    def _named(self, name: str) -> str:
        # A name may be foreign, too, such as a folder's path.
        return f"{shown(name)} of {self.place}"

    def only(self, *names: str) -> None:
        """Refuses fields that nobody reads."""
        for name in self.values:
            if name not in names:
                raise self.refusal(f"{self.place} has an unknown field {shown(name)}")

    def version(self, known: int = 1) -> None:
        """A newer document is called newer, not damaged."""
        found = self.integer("schema_version", 1, 10**6)
        if found > known:
            raise Malformed(
                self.what,
                f"it has schema_version {found}, this release reads up to {known}",
                "It was written by a newer release of dlrm-fleet: use that one here, too",
            )

    def is_null(self, name: str) -> bool:
        """True if the field is there and says nothing; a missing one is not null."""
        return name in self.values and self.values[name] is None

    def text(self, name: str, longest: int = 4096) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or len(value) > longest or not is_writable(value):
            raise self.bad(name, f"a text of at most {longest} characters")
        return value

    def line(self, name: str, longest: int = 256) -> str:
        """Without control characters: it may stand in a message, a file of lines, a terminal."""
        value = self.text(name, longest)
        if not value.isprintable():
            raise self.bad(name, "one line of printable characters")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.bad(name, wanted)
        return value

    def sha256(self, name: str) -> str:
        return self.matching(name, SHA256, "64 hexadecimal digits")

    def run_id(self, name: str) -> str:
        return self.matching(name, RUN_ID, "a run's id (YYYYmmddTHHMMSSZ-<6 hex digits>)")

    def part(self, name: str) -> str:
        """A name that is one file's or folder's."""
        return self.matching(name, NAME, "one file's name")

    def parts(self, name: str) -> list[str]:
        """A list of names, each one file's or folder's."""
        value = self.values.get(name)
        if (
            not isinstance(value, list)
            or len(value) > MOST_FILES
            or not all(isinstance(one, str) and NAME.fullmatch(one) for one in value)
        ):
            raise self.bad(name, f"a list of at most {MOST_FILES} names")
        return value

    def relative(self, name: str) -> str:
        """A path below the folder it belongs to, of at most 8 plain parts."""
        value = self.text(name, 1024)
        parts = value.split("/")
        if len(parts) > 8 or not all(PART.fullmatch(part) for part in parts):
            raise self.bad(name, "a relative path of plain names")
        if value.endswith(".partial"):
            raise self.bad(name, "another name (this one is reserved for what is not whole)")
        return value

    def absolute(self, name: str) -> str:
        """A path of the other side without '..'. Whether it can be sent, rsync's gate says."""
        value = self.line(name, 4096)
        if not value.startswith("/") or {"", ".", ".."} & set(value.split("/")[1:]):
            raise self.bad(name, "a plain absolute path")
        return value

    def folder(self, name: str) -> str:
        """A user's own folder: it names files in a key and is never made into a path of ours."""
        value = self.line(name, 4096)
        if not value.startswith("/"):
            raise self.bad(name, "a folder's absolute path")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.bad(name, f"one of {', '.join(sorted(allowed))}")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.bad(name, f"an integer from {low} to {high}")
        return value

    def size(self, name: str = "bytes") -> int:
        return self.integer(name, 0, LARGEST_FILE)

    def boolean(self, name: str) -> bool:
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise self.bad(name, "true or false")
        return value

    def time(self, name: str) -> str:
        value = self.matching(name, TIME, "a time in UTC (YYYY-mm-ddTHH:MM:SSZ)")
        try:
            parse_time(value)
        except FleetError:
            raise self.bad(name, "a time in UTC (YYYY-mm-ddTHH:MM:SSZ)") from None
        return value

    def object(self, name: str) -> Fields:
        return Fields(self.values.get(name), self.what, self._named(name))

    def free(self, name: str) -> dict[str, Any]:
        """An object that only the reader of facts interprets: of any fields, bounded."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        bounded(value, self.what)
        return value

    def objects(self, name: str, most: int = MOST_FILES) -> list[Fields]:
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self.bad(name, f"a list of at most {most} objects")
        return [
            Fields(entry, self.what, f"entry {at} of {self._named(name)}")
            for at, entry in enumerate(value)
        ]

    def different(self, name: str, values: Collection[str]) -> None:
        """`values`: what the entries of list `name` are known by. No two may be the same."""
        if len(set(values)) != len(values):
            raise self.refusal(f"two entries of {self._named(name)} have one name")


def _said(value: Any) -> str:
    """What a refusal shows of a foreign value: short, whatever its size and depth."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**40):
        return str(value)
    return "null" if value is None else f"a value of type {type(value).__name__}"

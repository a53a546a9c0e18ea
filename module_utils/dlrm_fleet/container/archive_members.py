"""The members of a tar archive from another machine, within bounds and without surprises."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

from ..wire.strict_json import Malformed, shown

# An image has at most 127 layers, each with three files and a folder.
MOST_MEMBERS = 2000
# tarfile reads a member's extended header at once.
MOST_AT_ONCE = 1024**2
# Zeros after the last member: two blocks, and what tar programs fill up with.
LEAST_END, MOST_END = 1024, 64 * 1024
NAME = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")
LONGEST_NAME = 100
# An extended header with one of these changes what is read; short names and sizes need none.
CHANGING = {"path", "linkpath", "size", "hdrcharset", "charset"}


class _Bounded:
    """A file of which little is read at once, and not for ever."""

    def __init__(self, handle: BinaryIO, what: str) -> None:
        self.handle = handle
        self.what = what
        self.reads = 0

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        if not 0 <= size <= MOST_AT_ONCE or self.reads > 16 * MOST_MEMBERS:
            raise Malformed(self.what, "it has a header that is too long")
        return self.handle.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.handle.seek(offset, whence)

    def tell(self) -> int:
        return self.handle.tell()


@dataclass(frozen=True)
class Members:
    """Names are plain and relative; each link leads to a file of the archive."""

    handle: BinaryIO
    what: str
    files: dict[str, tarfile.TarInfo]
    links: dict[str, str]

    def has(self, name: str) -> bool:
        return name in self.files or name in self.links

    def content(self, name: str, most: int) -> bytes:
        """Of the regular file `name`, of at most `most` bytes."""
        member = self.files.get(name)
        if member is None:
            raise Malformed(self.what, f"it has no file {shown(name)}")
        if member.size > most:
            raise Malformed(self.what, f"{shown(name)} has more than {most} bytes")
        self.handle.seek(member.offset_data)
        content = self.handle.read(member.size)
        if len(content) != member.size:
            raise Malformed(self.what, f"it ends within {shown(name)}")
        return content


def read_members(handle: BinaryIO, what: str) -> Members:
    """Reads the headers alone. Malformed unless it is a whole, plain tar archive of plain files."""
    members = Members(handle, what, {}, {})
    folders: set[str] = set()
    handle.seek(0)
    try:
        # "r:" reads no compressed archive: docker save writes none, and one could be endless.
        with tarfile.open(fileobj=_Bounded(handle, what), mode="r:") as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar):
                if count >= MOST_MEMBERS:
                    raise Malformed(what, f"it has more than {MOST_MEMBERS} members")
                _take(member, members, folders)
            end = tar.offset
    except (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError) as error:
        raise Malformed(what, f"it is no plain tar archive ({error})") from None
    _check_end(handle, end, what)
    _check_places(members)
    return members


def _take(member: tarfile.TarInfo, members: Members, folders: set[str]) -> None:
    name = member.name
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME or {".", ".."} & set(name.split("/")):
        raise Malformed(members.what, f"a member has the name {shown(name)}")
    if members.has(name) or name in folders:
        raise Malformed(members.what, f"it has {shown(name)} twice")
    odd = [key for key in member.pax_headers if key in CHANGING or key.startswith("GNU.")]
    if odd or member.sparse is not None or member.size < 0:
        raise Malformed(members.what, f"{shown(name)} can be read in two ways")
    if member.isdir():
        folders.add(name)
    elif member.issym():
        members.links[name] = member.linkname
    elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        members.files[name] = member
    else:
        raise Malformed(members.what, f"{shown(name)} is neither a file nor a folder")


def _check_end(handle: BinaryIO, end: int, what: str) -> None:
    """tarfile takes a damaged header for the end; the engine's reader need not."""
    handle.seek(end)
    rest = handle.read(MOST_END + 1)
    if len(rest) < LEAST_END:
        raise Malformed(what, "its end is missing")
    if len(rest) > MOST_END or rest.strip(b"\0"):
        raise Malformed(what, "it goes on after its end")


def _check_places(members: Members) -> None:
    """No member lies below a file or link, and no link leaves the archive."""
    for name in (*members.files, *members.links):
        parts = name.split("/")
        if any(members.has("/".join(parts[:depth])) for depth in range(1, len(parts))):
            raise Malformed(members.what, f"{shown(name)} lies below a file or link")
    for name, target in members.links.items():
        place = name.split("/")[:-1]
        for part in target.split("/"):
            if part == ".." and place:
                place.pop()
            elif part in ("", ".", ".."):
                raise Malformed(members.what, f"the link {shown(name)} leads elsewhere")
            else:
                place.append(part)
        if "/".join(place) not in members.files:
            raise Malformed(members.what, f"the link {shown(name)} leads to no file of the archive")

"""MLCommons' way to name a download: a .uri file that holds the base address of the files.

Beside NAME.uri lies NAME.md5, the list of the files below that address with their md5.
"""

from __future__ import annotations

import re
import urllib.parse
from pathlib import PurePosixPath

from dlrm_bench.frame.download import Downloads, Wanted
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.md5_lists import parsed

#: The real ones have some 60 bytes, and some 30 KiB for 300 files.
MOST_URI_BYTES = 4 << 10
MOST_LIST_BYTES = 4 << 20
MOST_FILES = 20_000
PUBLISHERS_HOST = ".mlcommons-storage.org"
_BASE = re.compile(r"(https?)://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%/+-]*)?")


def list_address(uri: str) -> str:
    """Where the list of NAME.uri's files lies."""
    return f"{uri.removesuffix('.uri')}.md5"


def is_publishers(uri: str) -> bool:
    """Whether MLCommons itself serves the list: its own host, over TLS."""
    parts = urllib.parse.urlsplit(uri)
    return parts.scheme == "https" and (parts.hostname or "").endswith(PUBLISHERS_HOST)


def wanted_files(downloads: Downloads, uri: str) -> list[Wanted]:
    """The files that a .uri and the list beside it name; StageError for anything else in them."""
    base = _base(downloads.small(uri, MOST_URI_BYTES), uri)
    address = list_address(uri)
    what, remedy = f"cannot use the md5 list '{address}'", "Check it with whoever serves it"
    text = downloads.small(address, MOST_LIST_BYTES).decode("utf-8-sig", "replace")
    sums: dict[str, str] = {}
    for listed, md5 in parsed(text, "", what, remedy):
        name = listed.removeprefix("./")
        if not is_below(name):
            raise StageError(what, f"it names {name[:200]!r}, which leaves the folder", remedy)
        if sums.setdefault(name, md5) != md5:
            raise StageError(what, f"it names '{name}' twice, with two md5", remedy)
    if not 0 < len(sums) <= MOST_FILES:
        raise StageError(what, f"it names {len(sums)} files, wanted 1 to {MOST_FILES}", remedy)
    return [Wanted(f"{base}/{urllib.parse.quote(name)}", name, md5) for name, md5 in sums.items()]


def is_below(name: str) -> bool:
    """Whether a name is a plain path below a folder."""
    parts = name.split("/")
    plain = name.isprintable() and name == str(PurePosixPath(name)) and "\\" not in name
    short = len(name) <= 1024 and all(len(part.encode()) <= 255 for part in parts)
    return plain and short and name != "." and not name.startswith("/") and ".." not in parts


def _base(content: bytes, uri: str) -> str:
    what, remedy = f"cannot use '{uri}'", "Check it with whoever serves it"
    lines = content.decode("utf-8-sig", "replace").split()
    if len(lines) != 1 or not (read := _BASE.fullmatch(lines[0])):
        shown = " ".join(lines)[:80]
        raise StageError(what, f"it holds {shown!r}, wanted one http or https address", remedy)
    if uri.startswith("https:") and read[1] == "http":
        raise StageError(what, f"it names '{lines[0]}', which is not encrypted", remedy)
    return lines[0].rstrip("/")

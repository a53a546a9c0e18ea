"""Checks that a file can be read before a reader opens it, so that all refuse in the same words."""

from __future__ import annotations

import html
import re
from pathlib import Path

from dlrm_bench.frame.errors import StageError

PROBABLY = "probably a server's login or error page"
#: A page's first bytes: enough for its title.
PAGE_BYTES = 4096
_PAGES = (
    (re.compile(rb"<(!--|(!doctype\s+html|html|head)\b)", re.I), "an HTML page"),
    (re.compile(rb"(<\?xml[^>]*>\s*)?<Error>"), "an object store's error message"),
)
_TITLE = re.compile(rb"<(title|Code)[^>]*>([^<]{1,80})", re.I)


def page(first: bytes) -> str:
    """What a file is that a server sent in place of the wanted one, by its first PAGE_BYTES.

    Empty for everything else; servers send login and error pages with status 200, too.
    """
    begins = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    for form, name in _PAGES:
        if form.match(begins):
            titled = _TITLE.search(begins)
            title = html.unescape(titled[2].decode("utf-8", "replace")) if titled else ""
            shown = "".join(c for c in " ".join(title.split()) if c.isprintable())
            return f"{name} ('{shown}')" if shown else name
    return ""


def unreadable(path: Path) -> str:
    """Why the file cannot be read (absent, a folder, not permitted, a page); empty if it can."""
    try:
        if path.is_dir():
            return "it is a folder, wanted a file"
        if not path.exists():
            return "it is not there, wanted a file"
        if not path.is_file():
            return "it is neither file nor folder, wanted a file"
        with path.open("rb") as file:
            found = page(file.read(PAGE_BYTES))
        return f"it is {found}, {PROBABLY}, not {path.name}" if found else ""
    except OSError as error:
        return f"it may not be read ({error.strerror})"


def require_file(path: Path, remedy: str) -> None:
    """StageError unless the file can be read; a missing permission and a page have own remedies."""
    why = unreadable(path)
    if why:
        if "may not be read" in why:
            remedy = "Let the user who owns the host's dlrm root read it (chmod, chown)"
        elif PROBABLY in why:
            remedy = "Fetch the file again, logged in or with the server's access headers"
        raise StageError(f"'{path}' cannot be read", why, remedy)

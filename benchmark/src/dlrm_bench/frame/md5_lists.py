"""Lists of md5 sums lying beside a user's files, as md5sum writes and MLCommons publishes them.

A line is `<md5>  <path>` or, of BSD's md5, `MD5 (<path>) = <md5>`; a line that begins with # is a
comment. The only line of NAME.md5 may be NAME's md5 alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file

_LINES = (
    re.compile(r"(?P<md5>[0-9a-fA-F]{32})\s+\*?(?P<name>\S.*)"),
    re.compile(r"MD5 ?\((?P<name>.+)\) ?= ?(?P<md5>[0-9a-fA-F]{32})"),
)
_ALONE = re.compile(r"[0-9a-fA-F]{32}")


class Md5Lists:
    """The md5 sums that lists give for files below a folder; empty without a list."""

    def __init__(self, folder: Path, above: Sequence[Path] = ()) -> None:
        self._folder = folder
        #: Path below the folder -> md5 and the list that names it.
        self.wanted: dict[str, tuple[str, Path]] = {}
        #: Names that must be there: a list above may name files of other folders, too.
        self._expected: set[str] = set()
        for place in (folder, *above):
            for path in sorted({*place.glob("*.md5"), *place.glob("md5sum*.txt")}):
                self._read(path)

    def _read(self, path: Path) -> None:
        remedy = "Correct the list, or remove it to skip this check"
        require_file(path, remedy)
        # A list made on Windows may begin with a byte order mark.
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        what = f"md5 list '{path}' cannot be used"
        for name, md5 in parsed(text, path.stem if path.suffix == ".md5" else "", what, remedy):
            self._add(path, name, md5)

    def _add(self, path: Path, listed: str, md5: str) -> None:
        # Paths in lists made one folder above begin with this folder's name.
        _, below, rest = listed.removeprefix("./").partition(f"{self._folder.name}/")
        name = rest if below else listed.removeprefix("./")
        self.wanted[name] = (md5, path)
        if below or path.parent == self._folder:
            self._expected.add(name)

    def add(self, listed: Mapping[str, str], path: Path) -> None:
        """Take in a list that lies elsewhere; `listed`: path below the folder -> md5."""
        for name, md5 in listed.items():
            self._add(path, name, md5)

    def missing(self) -> list[str]:
        """Listed names below the folder that are not there."""
        return [name for name in sorted(self._expected) if not (self._folder / name).is_file()]

    def check(self, name: str, found: str) -> bool:
        """Whether a list names the file; StageError if its md5 is another than `found`."""
        if name not in self.wanted:
            return False
        md5, path = self.wanted[name]
        if md5 != found:
            why = f"its md5 is {found}, '{path.name}' lists {md5}"
            raise StageError(f"'{self._folder / name}' is damaged", why, "Fetch the file again")
        return True


def parsed(text: str, stem: str, what: str, remedy: str) -> Iterator[tuple[str, str]]:
    """(path as listed, md5 in small letters) of each line; StageError with `what` and `remedy`.

    `stem`: the file that a line with an md5 alone is for; empty where no such line may stand.
    """
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        found = next((m for form in _LINES if (m := form.fullmatch(line))), None)
        if found:
            yield found["name"], found["md5"].lower()
        elif stem and _ALONE.fullmatch(line):
            yield stem, line.lower()
        else:
            why = f"line {number} is {line[:80]!r}, wanted an md5, two spaces and a path"
            raise StageError(what, why, remedy)

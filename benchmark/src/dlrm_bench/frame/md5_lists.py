"""Lists of md5 sums lying beside a user's files, as md5sum writes and MLCommons publishes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file

_LINE = re.compile(r"([0-9a-fA-F]{32}) [ *](.+)")


class Md5Lists:
    """The md5 sums that lists give for files below a folder; empty without a list."""

    def __init__(self, folder: Path, above: Sequence[Path] = ()) -> None:
        self._folder = folder
        #: Path below the folder -> md5 and the list that names it.
        self.wanted: dict[str, tuple[str, Path]] = {}
        for place in (folder, *above):
            for path in sorted({*place.glob("*.md5"), *place.glob("md5sum*.txt")}):
                self._read(path)

    def _read(self, path: Path) -> None:
        remedy = "Correct the list, or remove it to skip this check"
        require_file(path, remedy)
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            matched = _LINE.fullmatch(line.strip())
            if matched is None:
                why = f"line {number} is {line[:80]!r}, wanted an md5, two spaces and a path"
                raise StageError(f"md5 list '{path}' cannot be used", why, remedy)
            name = matched[2].removeprefix("./")
            # Paths in lists made one folder above begin with this folder's name.
            name = name.split(f"{self._folder.name}/", 1)[-1]
            self.wanted[name] = (matched[1].lower(), path)

    def missing(self) -> list[str]:
        """Listed names below the folder that are not there."""
        return [name for name in sorted(self.wanted) if not (self._folder / name).is_file()]

    def check(self, name: str, found: str) -> bool:
        """Whether a list names the file; StageError if its md5 is another than `found`."""
        if name not in self.wanted:
            return False
        md5, path = self.wanted[name]
        if md5 != found:
            why = f"its md5 is {found}, '{path.name}' lists {md5}"
            raise StageError(f"'{self._folder / name}' is damaged", why, "Fetch the file again")
        return True

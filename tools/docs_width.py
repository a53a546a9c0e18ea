"""Names the lines of Markdown files that are wider than 120 columns: docs_width.py FILE...

Longer may be: rows of tables, code, lines with a link, and what benchmark/bench/report.py writes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

WIDEST = 120
APART = re.compile(r"^```.*?^```|<!-- (bench:\w+) -->.*?<!-- /\1 -->", re.MULTILINE | re.DOTALL)
MAY_BE_LONGER = re.compile(r"^ {4}|^\||\]\(|://")


def too_wide(text: str) -> list[int]:
    """Numbers of the lines, from 1 on."""
    checked = APART.sub(lambda found: "\n" * found[0].count("\n"), text)
    lines = enumerate(checked.splitlines(), 1)
    return [n for n, line in lines if len(line) > WIDEST and not MAY_BE_LONGER.search(line)]


if __name__ == "__main__":
    found = [
        f"{path}:{number}" for path in sys.argv[1:] for number in too_wide(Path(path).read_text())
    ]
    sys.exit("\n".join([f"Wider than {WIDEST} columns:", *found]) if found else 0)

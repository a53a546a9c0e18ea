"""A user's own SSH key, which may lie where the storage root's owner cannot read it.

<root>/.keys/<id>               a copy of the key, made by prepare; only the owner may read it
<root>/.keys/<id>.known_hosts   a copy of root's known_hosts, which serves such a key
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...base.documents import sha256_text


def copy_of(root: Path, key_file: str) -> Path:
    """Where the copy of this key lies, or would lie."""
    return root / ".keys" / sha256_text(key_file)[:16]


def known_hosts_of(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.known_hosts")


def readable(root: Path, source: dict[str, Any] | None) -> dict[str, Any] | None:
    """`source` with the copies in place of files that this process cannot read."""
    if source is None or os.access(str(source["key_file"]), os.R_OK):
        return source
    copy = copy_of(root, str(source["key_file"]))
    if not copy.is_file():
        return source
    known = known_hosts_of(copy)
    given = {"known_hosts_file": str(known)} if known.is_file() else {}
    return {**given, **source, "key_file": str(copy)}

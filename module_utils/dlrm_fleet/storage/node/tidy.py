"""What the storage node removes after some time. Never records, and never what a host may restore.

spool/collected/<run_id>/<host>.json    runs whose records are stored
incoming/*.partial                      what killed transfers left and nobody continued
store/sha256/<aa>/<sha256>.damaged      copies that a push found damaged and moved aside
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ...base.locks import exclusive_lock
from .spool import COLLECTED

DAY_SECONDS = 86_400


def tidy(root: Path, days: int, now: float) -> int:
    """Remove what is older than `days`, and return how many files and folders. 0: nothing.

    `now`: seconds since 1970. What another process is using stays.
    """
    if days <= 0:
        return 0
    limit = now - days * DAY_SECONDS
    removed = 0
    for entry in _older(root, f"spool/{COLLECTED}/*/*.json", limit):
        entry.unlink(missing_ok=True)
        removed += 1
        with suppress(OSError):
            # Other hosts of the run may have entries there.
            entry.parent.rmdir()
    for partial in _older(root, "incoming/*.partial", limit):
        removed += _remove_partial(partial)
    for damaged in _older(root, "store/sha256/*/*.damaged", limit):
        damaged.unlink(missing_ok=True)
        removed += 1
    return removed


def _older(root: Path, pattern: str, limit: float) -> list[Path]:
    found = []
    for path in root.glob(pattern):
        # Another process may have removed it meanwhile.
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < limit:
                found.append(path)
    return found


def _remove_partial(partial: Path) -> bool:
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        return True
    try:
        with exclusive_lock(partial, wait=False, mode=0o600):
            partial.unlink(missing_ok=True)
    except BlockingIOError:
        # Its transfer stands still, but lives.
        return False
    return True

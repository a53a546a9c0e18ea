"""Removes from a host what old runs left there. Their records and logs are on the storage node."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ..base.errors import FleetError
from ..runs.run_id import RUN_ID
from ..wire.documents import run_of

# Their keys hold the run: no other run reads what they made.
OF_ONE_RUN = ("performance", "audit")
CLOSED = "closed.json"
DAY_SECONDS = 86_400


def retire(root: Path, days: int, now: float) -> list[str]:
    """Remove runs that were closed more than `days` ago, and return their ids. 0: none.

    `now`: seconds since 1970. A run stays while its results have the published file names. If this
    is killed, the run is either whole or no longer listed, and the next call removes the rest.
    """
    if days <= 0:
        return []
    old = [path.parent for path in sorted(root.glob(f"runs/*/{CLOSED}")) if _age(path, now) > days]
    old = [folder for folder in old if RUN_ID.fullmatch(folder.name)]
    if not old:
        return []
    made = _folders_of_runs(root)
    published = _published(root)
    retired = []
    for run in old:
        folders = made.get(run.name, [])
        if published.intersection(folders):
            continue
        for folder in folders:
            shutil.rmtree(folder)
            folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)
        _remove_run(run)
        retired.append(run.name)
    return retired


def _age(path: Path, now: float) -> float:
    """In days, by the host's own clock."""
    return (now - path.stat().st_mtime) / DAY_SECONDS


def _folders_of_runs(root: Path) -> dict[str, list[Path]]:
    """Run -> the folders of the stages that only this run made."""
    found: dict[str, list[Path]] = {}
    for stage in OF_ONE_RUN:
        for folder in root.glob(f"stages/{stage}/[!.]*"):
            # A stage that failed has only the requests of its attempts.
            for path in (folder / "stage.json", *sorted(folder.glob("attempts/*/request.json"))):
                with suppress(FleetError):
                    found.setdefault(run_of(path), []).append(folder)
                    break
    return found


def _published(root: Path) -> set[Path]:
    """The folders in which the published file names of results end."""
    links = [path for path in root.glob("results/*/*") if path.is_symlink()]
    return {link.readlink().parent for link in links}


def _remove_run(run: Path) -> None:
    """That it is closed goes last: without it, the rest would be an open run."""
    for path in sorted(run.iterdir(), key=lambda path: path.name == CLOSED):
        path.unlink()
    run.rmdir()

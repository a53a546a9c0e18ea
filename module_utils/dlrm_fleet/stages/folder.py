"""One result of one stage on disk: whether it is done and whole, and its attempts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.documents import sha256_file, sync_directory, write_json_atomic
from ..base.errors import FleetError, disk_error
from ..base.locks import exclusive_lock
from ..base.owner import Owner, inherit_owner
from ..base.times import parse_time
from ..wire.documents import read_strictly
from ..wire.exit_document import Ended, read_ended
from ..wire.fields import Fields
from ..wire.stage_document import promise
from ..wire.status_document import Status, read_status
from .key import folder_name
from .published import rights_at

ATTEMPT = re.compile(r"[1-9][0-9]{0,5}")


class StageFolder:
    """<root>/stages/<stage>/<key[:16]>/"""

    def __init__(self, root: Path, stage: str, key: str) -> None:
        self.root = root
        self.stage = stage
        self.key = key
        self.path = root / "stages" / stage / folder_name(key)
        self.manifest = self.path / "stage.json"
        self.elsewhere_path = self.path / "elsewhere.json"

    @contextmanager
    def locked(self, owner: Owner | None = None) -> Iterator[None]:
        """Keeps two starts from both finding it absent. `owner`: makes the folder first."""
        if owner is not None:
            owner.make_directory(self.path)
        # Beside the folder, not in it: the container may remove what it finds there.
        path = self.path.with_name(f".{self.path.name}.lock")
        with exclusive_lock(path):
            inherit_owner(path)
            yield

    def examine(
        self, verify: bool = False, alive: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any] | None, str]:
        """(stage.json, "") when done; (None, "") when absent; (None, why) when it is damaged.

        `verify`: also compare checksums; `alive` is called while they are computed.
        """
        if not self.manifest.exists():
            return None, ""
        try:
            document = read_strictly(self.manifest)
            if document.get("key") != self.key:
                return None, f"stage.json has key {document.get('key')!r}, wanted {self.key!r}"
            lacking = sorted({"run_id", "attempt", "started_at", "finished_at"} - set(document))
            if lacking:
                return None, f"stage.json is not complete ({', '.join(lacking)} is missing)"
            if not document["outputs"]:
                return None, "stage.json lists no outputs"
            _check_types(document)
            for output in document["outputs"]:
                problem = self._damage(output, verify, alive)
                if problem:
                    return None, problem
        except (KeyError, TypeError, AttributeError) as error:
            return None, f"stage.json is not complete ({type(error).__name__}: {error})"
        except FleetError as error:
            return None, f"{error.what}: {error.why}"
        return document, ""

    def elsewhere(self) -> dict[str, Any] | None:
        """The manifest of a result whose files stayed on the storage node (module
        dlrm_storage_restore) or were pruned here."""
        try:
            document = read_strictly(self.elsewhere_path)
            if document.get("key") != self.key or not document.get("outputs"):
                return None
            _check_types(document)
        except FleetError:
            return None
        return document

    def known(self) -> dict[str, Any] | None:
        """The manifest of a result that lies here or elsewhere: later stages' keys need it."""
        return self.examine()[0] or self.elsewhere()

    def _damage(
        self, output: dict[str, Any], verify: bool, alive: Callable[[], None] | None
    ) -> str:
        name = output["name"]
        path = self.output(name)
        if path.is_symlink():
            return f"output {name!r} is a link, the file itself is wanted"
        if not path.is_file():
            return f"output {name!r} is missing"
        found = path.stat().st_size
        if found != output["bytes"]:
            return f"output {name!r} has {found} bytes, wanted {output['bytes']}"
        if verify:
            digest = sha256_file(
                path, None if alive is None else lambda _done: alive(), follow=False
            )
            if digest != output["sha256"]:
                return f"output {name!r} has sha256 {digest}, wanted {output['sha256']}"
        return ""

    def output(self, name: str) -> Path:
        """Its path. FleetError for a name that leaves the folder: we would mount or remove it."""
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts:
            raise FleetError(
                f"cannot use output {name!r} of {str(self.manifest)!r}",
                "its path leads out of the stage's folder",
            )
        return self.path / pure

    def discard(self) -> None:
        """Removes the result, stage.json first: a killed removal leaves nothing that looks done."""
        try:
            self.manifest.unlink(missing_ok=True)
            sync_directory(self.path)
            for entry in sorted(self.path.rglob("*"), reverse=True):
                if entry.relative_to(self.path).parts[0] == "attempts":
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    entry.rmdir()
                else:
                    entry.unlink()
        except OSError as error:
            raise disk_error(f"cannot remove the files of {str(self.path)!r}", error) from None

    def release(self, document: dict[str, Any], links: list[tuple[str, str]]) -> None:
        """Keeps the manifest only. If this is killed, the result is whole or known as elsewhere."""
        for output in document["outputs"]:
            self._refuse_outside(self.output(output["name"]))
        write_json_atomic(self.elsewhere_path, document)
        inherit_owner(self.elsewhere_path)
        try:
            self.manifest.unlink()
            sync_directory(self.path)
            for output, name in links:
                link = self.root / name
                with rights_at(self.root, name):
                    if link.is_symlink() and str(link.readlink()) == str(self.path / output):
                        link.unlink()
        except OSError as error:
            raise disk_error(f"cannot remove the files of {str(self.path)!r}", error) from None
        self.remove_outputs(document)

    def remove_outputs(self, document: dict[str, Any]) -> None:
        """Removes what the manifest names, and folders that are then empty; nothing else."""
        try:
            for output in document["outputs"]:
                path = self.output(output["name"])
                self._refuse_outside(path)
                path.unlink(missing_ok=True)
                for folder in path.relative_to(self.path).parents[:-1]:
                    with suppress(OSError):
                        (self.path / folder).rmdir()
            # What a killed release() left.
            for half in self.path.glob(f"{self.elsewhere_path.name}.*.partial"):
                half.unlink()
        except OSError as error:
            raise disk_error(f"cannot remove the files of {str(self.path)!r}", error) from None

    def _refuse_outside(self, path: Path) -> None:
        here = self.path.resolve()
        if here not in (path.parent.resolve(), *path.parent.resolve().parents):
            raise FleetError(
                f"cannot remove {str(path)!r}",
                f"its folder is a link to a place outside {str(self.path)!r}",
                "Remove that link if you do not need it, then run again",
            )

    def attempts(self) -> list[int]:
        folder = self.path / "attempts"
        if not folder.is_dir():
            return []
        return sorted(
            int(entry.name)
            for entry in folder.iterdir()
            if ATTEMPT.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
        )

    def attempt_path(self, attempt: int) -> Path:
        return self.path / "attempts" / str(attempt)

    def new_attempt(self, owner: Owner) -> int:
        """Its number. mkdir is exclusive: even without the lock no two starts get the same."""
        attempt = max(self.attempts(), default=0)
        while True:
            attempt += 1
            try:
                owner.make_directory(self.attempt_path(attempt), exclusive=True)
            except FileExistsError:
                continue
            return attempt

    def attempt_document(self, attempt: int, name: str) -> dict[str, Any] | None:
        """Such as request.json; None while it is not there or cannot be read."""
        try:
            return read_strictly(self.attempt_path(attempt) / name)
        except (FleetError, OSError):
            return None

    def status(self, attempt: int) -> Status | None:
        """How far the container says it is. A wrong status counts as none."""
        with suppress(FleetError):
            return read_status(self.attempt_document(attempt, "status.json"), "status.json")
        return None

    def ended(self, attempt: int) -> Ended | None:
        """Why the attempt ended; None if exit.json is not there or not what reap.py writes."""
        with suppress(FleetError):
            return read_ended(self.attempt_document(attempt, "exit.json"), "exit.json")
        return None

    def times(self, attempt: int) -> tuple[datetime, datetime] | None:
        """When the attempt was started, and its deadline; None if request.json does not say."""
        with suppress(FleetError):
            asked = Fields(self.attempt_document(attempt, "request.json"), "request.json")
            return parse_time(asked.time("created_at")), parse_time(asked.time("deadline"))
        return None

    def log_path(self, attempt: int) -> Path:
        return self.attempt_path(attempt) / "log.txt"


def _check_types(document: dict[str, Any]) -> None:
    """Malformed unless what is computed with has the type that it is computed with."""
    fields = Fields(document, "stage.json is not complete")
    fields.line("run_id")
    fields.sha256("key")
    fields.integer("attempt", 1, 10**6)
    fields.time("started_at")
    fields.time("finished_at")
    fields.object("provenance")
    for output in fields.objects("outputs"):
        promise(output)

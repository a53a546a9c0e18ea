"""What a stage module is given (request, host, controller), and the plan made from it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..host.document import machine_type, read_host
from ..runs.runs import Runs
from . import sources as source_files
from .folder import StageFolder
from .plan import Plan, PlannedStage

MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}


@dataclass(frozen=True)
class Asked:
    """One host's part of a request; run_id and image are None while unknown (check mode)."""

    root: Path
    catalogue: dict[str, Any]
    request: dict[str, Any]
    run_id: str | None
    image: str | None
    controller: dict[str, Any]

    @property
    def architecture(self) -> str:
        machine = platform.machine()
        return MACHINES.get(machine, machine)

    def plan(self) -> HostPlan:
        """Made once for each call of a module, then passed on."""
        return HostPlan(self)

    def keep_lease(self) -> None:
        """Called by every poll and during long hashing. FleetError when the run is not held."""
        if self.run_id is None:
            return
        runs = Runs(self.root)
        if not runs.is_open(self.run_id):
            raise FleetError(
                f"run {self.run_id} is not open on this host",
                f"there is no {str(runs.lock_path(self.run_id))!r}",
                "Open it first (module dlrm_run)",
            )
        runs.renew(self.run_id, self.controller)


@dataclass(frozen=True)
class Start:
    """How a stage is to be started, in addition to Asked."""

    stage: str
    user: str
    deadline: str
    host: str
    commit: str
    force: bool
    check: bool
    # The text of the file of secrets of the stage's source.
    secret: str = field(default="", repr=False)


class HostPlan(Plan):
    """A request's plan on this host, from the stage.json files and known hashes below the root.

    It hashes and changes nothing.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        extra = {
            "image": asked.image,
            "run_id": asked.run_id,
            "architecture": asked.architecture,
            "cpu": machine_type(read_host(asked.root)),
        }
        super().__init__(asked.catalogue, asked.request, extra, self._known, self._source_files)

    def folder(self, stage: str, key: str) -> StageFolder:
        return StageFolder(self.asked.root, stage, key)

    def spared(self, stage: str) -> dict[str, Any] | None:
        """The manifest of a stage that need not be made here, else None.

        Its files lie on the storage node or were pruned, and each stage that reads them is done
        here or is spared, too.
        """
        return self.stage(stage).document if self.is_spared(stage) else None

    def is_spared(self, stage: str) -> bool:
        """Only its manifest is here, and nothing here needs its files."""
        one = self.stage(stage)
        if one.key is None or one.document is None or self.folder(stage, one.key).manifest.exists():
            return False
        readers = self.readers(stage)
        if set(readers) & set(self.request["force_stages"]):
            return False
        return all(self.is_here(self.stage(name)) or self.is_spared(name) for name in readers)

    def is_here(self, one: PlannedStage) -> bool:
        """Done, with all its files."""
        return one.key is not None and self.folder(one.name, one.key).examine()[0] is not None

    def _known(self, stage: str, key: str) -> dict[str, Any] | None:
        return self.folder(stage, key).known()

    def _source_files(self, folder: str) -> list[dict[str, Any]] | None:
        try:
            return source_files.known(self.asked.root, folder).files
        except FleetError:
            # A missing folder fails the stage when it starts, not the plan: what was made from it
            # may have been restored.
            return source_files.recalled(self.asked.root, folder)

"""What the two stage modules share: who asks what of which host, and what lies there."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import FleetError
from ..host.document import machine_type, read_host
from ..runs.runs import Runs
from . import catalogue as catalogue_rules, sources as source_files
from .folder import StageFolder
from .plan import PlannedStage, plan

MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}


@dataclass(frozen=True)
class Asked:
    """One host's part of a request; run_id and image are None while not known (check mode)."""

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

    def folder(self, stage: str, key: str) -> StageFolder:
        return StageFolder(self.root, stage, key)

    def plan(self) -> list[PlannedStage]:
        """Reads stage.json files and known hashes; hashes and changes nothing."""
        extra = {
            "image": self.image,
            "run_id": self.run_id,
            "architecture": self.architecture,
            "cpu": machine_type(read_host(self.root)),
        }
        return plan(self.catalogue, self.request, extra, self._read_stage, self._read_source)

    def spared(self, stage: str) -> dict[str, Any] | None:
        """The manifest of a stage that need not be made here: its files lie on the storage node
        or were removed, and whatever reads them is done here or spared, too. None: it is made."""
        planned = {one.name: one for one in self.plan()}
        return planned[stage].document if self.is_spared(planned, stage) else None

    def readers(self, planned: dict[str, PlannedStage], stage: str) -> list[str]:
        """The stages of this request that have it as input."""
        return [
            name
            for name, reader in planned.items()
            if stage in dict(catalogue_rules.inputs(reader.entry, self.request["parameters"]))
        ]

    def is_spared(self, planned: dict[str, PlannedStage], stage: str) -> bool:
        """Only its manifest is here, and no more of it is needed."""
        one = planned[stage]
        if one.key is None or one.document is None or self.folder(stage, one.key).manifest.exists():
            return False
        readers = self.readers(planned, stage)
        if set(readers) & set(self.request["force_stages"]):
            return False
        return all(self.is_here(planned[name]) or self.is_spared(planned, name) for name in readers)

    def is_here(self, one: PlannedStage) -> bool:
        """Done, with all its files."""
        return one.key is not None and self.folder(one.name, one.key).examine()[0] is not None

    def keep_lease(self) -> None:
        """Called by every poll, and while long hashing goes on."""
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

    def _read_stage(self, stage: str, key: str) -> dict[str, Any] | None:
        return self.folder(stage, key).known()

    def _read_source(self, folder: str) -> list[dict[str, Any]] | None:
        try:
            return source_files.known(self.root, folder).files
        except FleetError:
            # A missing folder is the stage's error when it starts, not the plan's. What was made
            # of it may have been restored.
            return source_files.recalled(self.root, folder)


@dataclass(frozen=True)
class Start:
    """How the stage is to be started, beside what is asked."""

    stage: str
    user: str
    deadline: str
    host: str
    commit: str
    force: bool
    check: bool

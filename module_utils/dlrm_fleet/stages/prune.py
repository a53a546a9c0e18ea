"""keep=needed: once a stage is done, remove the files of its inputs that nothing reads any more.

The manifest of such an input stays as elsewhere.json, as it does where the files lie on the storage
node only. So later stages keep their keys, and a rerun skips the input.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.errors import FleetError
from ..base.lenient import as_dict
from ..base.owner import Owner
from ..base.times import format_time, utc_now
from ..base.wording import number
from ..container.engine import Engine
from . import catalogue as catalogue_rules
from .asked import HostPlan
from .catalogue import is_shared
from .folder import StageFolder
from .plan import PlannedStage


@dataclass
class Pruned:
    """`removed`: a line for each input pruned (in check mode: to prune); `warnings`: what stays."""

    removed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prune_inputs(plan: HostPlan, stage: str, engine: Engine, owner: Owner, check: bool) -> Pruned:
    """Prunes the inputs of `stage`, which is done; only if the request says keep=needed."""
    pruned = Pruned()
    if plan.request.get("keep", "all") != "needed":
        return pruned
    for name, (key, _outputs) in plan.stage(stage).inputs.items():
        folder = plan.folder(name, key)
        if not _is_read_no_more(plan, name):
            continue
        if check:
            if folder.manifest.exists():
                pruned.removed.append(_line(folder))
            continue
        with folder.locked(owner):
            _prune(plan, folder, engine, pruned)
    return pruned


def _is_read_no_more(plan: HostPlan, name: str) -> bool:
    """Its readers are done and stay so. What a measurement reads stays: the next run reads it."""
    readers = [plan.stage(reader) for reader in plan.readers(name)]
    return is_shared(plan.entries[name]) and all(
        is_shared(reader.entry)
        and (plan.is_spared(reader.name) or plan.is_here(reader))
        and not _will_be_forced(plan, reader)
        for reader in readers
    )


def _will_be_forced(plan: HostPlan, reader: PlannedStage) -> bool:
    made_by = (reader.document or {}).get("run_id")
    return reader.name in plan.request["force_stages"] and made_by != plan.asked.run_id


def _prune(plan: HostPlan, folder: StageFolder, engine: Engine, pruned: Pruned) -> None:
    document = folder.examine()[0]
    if document is None:
        # Finish a removal that was killed. Nothing else without a manifest is touched.
        kept = None if folder.manifest.exists() else folder.elsewhere()
        if kept is not None and "released" in as_dict(kept.get("provenance")):
            folder.remove_outputs(kept)
        return
    # Another run's container may read it.
    if engine.others(""):
        return
    asked = plan.asked
    for reader in plan.readers(folder.stage):
        key = plan.stage(reader).key or ""
        damage = plan.folder(reader, key).examine(verify=True, alive=asked.keep_lease)[1]
        if damage:
            pruned.warnings.append(
                f"The files of {folder.stage} stay although keep=needed: {reader}, which was made "
                f"from them, is damaged ({damage}). Run again with -e verify=true."
            )
            return
    gone = {"run_id": asked.run_id, "at": format_time(utc_now())}
    line = _line(folder)
    try:
        folder.release(
            {**document, "provenance": {**document["provenance"], "released": gone}},
            catalogue_rules.links(
                plan.entries[folder.stage], plan.request["parameters"], asked.architecture
            ),
        )
    except FleetError as error:
        pruned.warnings.append(f"{error} Nothing is lost; the next run tries again.")
        return
    pruned.removed.append(line)


def _line(folder: StageFolder) -> str:
    document = folder.examine()[0] or {"outputs": []}
    size = number(sum(output["bytes"] for output in document["outputs"]), "bytes")
    return f"{folder.stage}'s files ({size}) removed, nothing later reads them (keep=needed)"

"""keep=needed: once a stage is done, remove the files of its inputs that nothing reads any more.

What such an input was made from stays known: its manifest becomes elsewhere.json, as where the
files lie on the storage node alone. So later stages keep their keys, and a rerun skips it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.errors import FleetError
from ..base.owner import Owner
from ..base.times import format_time, utc_now
from ..base.wording import number
from ..container.engine import Engine
from . import catalogue as catalogue_rules
from .asked import Asked
from .catalogue import is_shared
from .folder import StageFolder
from .plan import PlannedStage


@dataclass
class Released:
    """`removed`: what went (in check mode: would go); `warnings`: what stays, and why."""

    removed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def release_inputs(asked: Asked, stage: str, engine: Engine, owner: Owner, check: bool) -> Released:
    """Of the inputs of `stage`, which is done; empty unless the request says keep=needed."""
    released = Released()
    if asked.request.get("keep", "all") != "needed":
        return released
    planned = {one.name: one for one in asked.plan()}
    for name, (key, _outputs) in planned[stage].inputs.items():
        folder = asked.folder(name, key)
        if not _is_read_no_more(asked, planned, name):
            continue
        if check:
            if folder.manifest.exists():
                released.removed.append(_line(folder))
            continue
        with folder.locked(owner):
            _release(asked, planned, folder, engine, released)
    return released


def _is_read_no_more(asked: Asked, planned: dict[str, PlannedStage], name: str) -> bool:
    """All that read it are done and stay so. What a measurement reads is needed by the next run."""
    readers = [planned[reader] for reader in asked.readers(planned, name)]
    return is_shared(planned[name].entry) and all(
        is_shared(reader.entry)
        and (asked.is_spared(planned, reader.name) or asked.is_here(reader))
        and not _will_be_forced(asked, reader)
        for reader in readers
    )


def _will_be_forced(asked: Asked, reader: PlannedStage) -> bool:
    document = reader.document or {}
    return reader.name in asked.request["force_stages"] and document.get("run_id") != asked.run_id


def _release(
    asked: Asked,
    planned: dict[str, PlannedStage],
    folder: StageFolder,
    engine: Engine,
    released: Released,
) -> None:
    document = folder.examine()[0]
    if document is None:
        # A removal that was killed goes on; nothing else without a manifest is touched.
        kept = None if folder.manifest.exists() else folder.elsewhere()
        if kept is not None and "released" in kept["provenance"]:
            folder.remove_outputs(kept)
        return
    # Another run's container may read it.
    if engine.others(""):
        return
    for reader in asked.readers(planned, folder.stage):
        key = planned[reader].key or ""
        damage = asked.folder(reader, key).examine(verify=True, alive=asked.keep_lease)[1]
        if damage:
            released.warnings.append(
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
                planned[folder.stage].entry, asked.request["parameters"], asked.architecture
            ),
        )
    except FleetError as error:
        released.warnings.append(f"{error} Nothing is lost; the next run tries again.")
        return
    released.removed.append(line)


def _line(folder: StageFolder) -> str:
    document = folder.examine()[0] or {"outputs": []}
    size = number(sum(output["bytes"] for output in document["outputs"]), "bytes")
    return f"{folder.stage}'s files ({size}) removed, nothing later reads them (keep=needed)"

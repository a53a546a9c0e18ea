"""One attempt of a stage: its container and the request.json that the container reads."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.documents import write_json_atomic
from ..base.errors import FleetError
from ..base.owner import Owner
from ..base.times import format_time, utc_now
from ..container.engine import LABEL, ContainerSpec, Engine
from ..host.kernel import boot, oom_kills
from ..wire.secret_file import SourceSecret
from . import catalogue as catalogue_rules, secrets
from .asked import HostPlan, Start
from .deadline import seconds_to_run
from .folder import StageFolder
from .key import short
from .reap import record_not_started


def prepare(
    plan: HostPlan, start: Start, folder: StageFolder, engine: Engine
) -> tuple[ContainerSpec, dict[str, Any]]:
    """Container and request.json without the attempt. All that can refuse a start happens here."""
    asked, planned = plan.asked, plan.stage(start.stage)
    if asked.image is None or asked.run_id is None:
        raise FleetError(f"cannot start stage {start.stage!r}", "image and run_id must be given")
    seconds = seconds_to_run(asked, start)
    image_id = engine.image_id(asked.image)
    mounts: list[tuple[Path, str, bool]] = [(folder.path, "/dlrm/output", False)]
    inputs: dict[str, list[dict[str, Any]]] = {}
    for stage, (key, outputs) in planned.inputs.items():
        made = plan.folder(stage, key)
        if not made.manifest.exists():
            raise FleetError(
                f"cannot start stage {start.stage!r}",
                f"the files of its input {stage!r} are not on this host, only their manifest is",
                f"Run again with -e force_stages={stage} to make them here. Or remove "
                f"{str(folder.path)!r} and run again, so that stage {start.stage!r} is restored",
            )
        below = f"/dlrm/inputs/{stage}"
        mounts.append((made.path, below, True))
        inputs[stage] = [{**output, "path": f"{below}/{output['name']}"} for output in outputs]
    source = catalogue_rules.source(planned.entry, asked.request)
    if source is not None and source["kind"] == "folder":
        mounts.append((Path(source["path"]), "/dlrm/source", True))
        source = {"kind": "folder", "path": "/dlrm/source"}
    spec = ContainerSpec(
        name=f"dlrm-{start.stage}-{short(folder.key)}",
        # By id: the name may move to another image before the start.
        image=image_id,
        user=start.user,
        seconds=seconds,
        labels={
            LABEL: "stage",
            f"{LABEL}.root": str(asked.root),
            f"{LABEL}.stage": start.stage,
            f"{LABEL}.key": folder.key,
            f"{LABEL}.run_id": asked.run_id,
            f"{LABEL}.boot": boot(),
            f"{LABEL}.oom_kills": str(oom_kills()),
            f"{LABEL}.ends": str(int(time.monotonic()) + seconds),
        },
        mounts=mounts,
        network=catalogue_rules.needs_network(planned.entry, asked.request),
        shm_bytes=catalogue_rules.shm_bytes(planned.entry),
    )
    request = {
        "schema_version": 1,
        "stage": start.stage,
        "key": folder.key,
        "recipe": planned.entry["recipe"],
        "run_id": asked.run_id,
        "parameters": asked.request["parameters"],
        "inputs": inputs,
        "source": source,
        "deadline": start.deadline,
        "provenance": {
            "image": asked.image,
            "image_id": image_id,
            "host": start.host,
            "architecture": asked.architecture,
            "controller": asked.controller["id"],
            "commit": start.commit,
        },
        "created_at": format_time(utc_now()),
    }
    return spec, request


def launch(
    folder: StageFolder,
    engine: Engine,
    owner: Owner,
    spec: ContainerSpec,
    request: dict[str, Any],
    attempt: int,
    secret: SourceSecret | None = None,
) -> None:
    """Write the attempt's request.json and start its container, with the secret of its source."""
    path = folder.attempt_path(attempt) / "request.json"
    write_json_atomic(path, {**request, "attempt": attempt})
    owner.take(path)
    spec = replace(
        spec,
        name=f"{spec.name}-{attempt}",
        labels={**spec.labels, f"{LABEL}.attempt": str(attempt)},
        mounts=[*spec.mounts, (path, "/dlrm/request.json", True)],
    )
    try:
        secrets.sweep(folder.root)
        if secret is not None:
            delivered = secrets.deliver(folder, attempt, secret, owner)
            spec = replace(spec, mounts=[*spec.mounts, (delivered, secrets.INSIDE, True)])
        engine.start(spec)
    except FleetError as error:
        record_not_started(folder, attempt, str(error))
        raise

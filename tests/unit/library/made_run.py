"""Makes a host's root as finished stages leave it, from the real catalogue and LoadGen logs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.dlrm_fleet.host.document import machine_type
from ansible.module_utils.dlrm_fleet.results import record
from ansible.module_utils.dlrm_fleet.stages.folder import StageFolder
from ansible.module_utils.dlrm_fleet.stages.plan import Plan, PlannedStage

from product_tables import CATALOGUE as CATALOGUE

REPOSITORY = Path(__file__).resolve().parents[3]
LOGS = REPOSITORY / "tests" / "unit" / "fixtures" / "loadgen"
RUN_ID = "20260131T120000Z-0a1b2c"
IMAGE = "dlrm-bench:1f2e3d4c5b6a"
HOST = {
    "schema_version": 1,
    "name": "arm-01",
    "cpu": {"model": "a", "allowed_cores": 2, "allowed_threads": 2, "allowed_sockets": 1},
}
SAME = {"engine": "torch-int8 1", "best_batch": 400, "workers": 2}
FACTS: dict[str, dict[str, Any]] = {
    "accuracy": {
        **SAME,
        "auc": 0.8031,
        "soft_auc": 0.9995,
        "metric": "soft_auc",
        "target": 0.999,
        "passed": True,
        "samples": 96,
        "pairs": 9600,
    },
    "performance": {
        **SAME,
        "pairs_issued": 6_636_000,
        "pairs_computed": 6_636_000,
        "evidence": {
            "steal_percent": 0.0,
            "other_load_percent": 0.5,
            "major_faults": 0,
            "mean_frequency_mhz": None,
        },
    },
}


def request(precision: str = "int8", tune: bool = False) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "parameters": {
            "precision": precision,
            "scenario": "offline",
            "implementation": "native",
            "profile": "demo",
            "row_cap": 1000,
            "data_rows": 4000,
            "seed": 1,
            "min_duration_seconds": 1,
            "weights_source": None,
            "data_source": None,
            "tune": tune,
        },
        "sources": {"weights_source": None, "data_source": None},
        "marks": ["demo: not comparable"],
    }


def outputs(stage: str) -> dict[str, bytes]:
    logs = LOGS / ("accuracy" if stage == "accuracy" else "valid")
    log_files = {
        f"mlperf_log_{name}.txt": (logs / f"mlperf_log_{name}.txt").read_bytes()
        for name in ("summary", "detail")
    }
    return {
        "repositories": {"provenance.json": b"{}"},
        "weights": {"snapshot": b"weights"},
        "dataset": {
            "terabyte_processed_test_v2_dense.bin": b"dense",
            "terabyte_processed_test_v2_label_sparse.bin": b"sparse",
            "calibration_dense.npy": b"calibration",
            "aggregation_trace.txt": b"0, 100, 100\n",
        },
        "dump": {"dlrm-multihot-pytorch.pt": b"fp32"},
        "calibrate": {"dlrm_int8.pt": b"int8"},
        "tune": {"choice.json": b"{}", "tuning.json": b"{}"},
        "accuracy": {
            **log_files,
            "accuracy.txt": b"AUC=80.310%\n",
            "mlperf_log_accuracy.json": b"[]",
        },
        "performance": log_files,
    }[stage]


def finish_stage(root: Path, planned: PlannedStage) -> None:
    folder = StageFolder(root, planned.name, planned.key or "").path
    folder.mkdir(parents=True)
    listed = []
    for name, data in outputs(planned.name).items():
        (folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        listed.append({"name": name, "bytes": len(data), "sha256": digest})
    document = {
        "schema_version": 1,
        "stage": planned.name,
        "key": planned.key,
        "recipe": 1,
        "attempt": 1,
        "run_id": RUN_ID if planned.name == "performance" else "20260130T120000Z-ffffff",
        "parameters": {},
        "inputs": [
            {"stage": stage, **output}
            for stage, (_key, chosen) in planned.inputs.items()
            for output in chosen
        ],
        "outputs": listed,
        "facts": FACTS.get(planned.name, {}),
        "provenance": {"image": IMAGE, "image_id": "sha256:1"},
        "started_at": f"2026-01-31T12:{len(list(root.glob('stages/*'))):02d}:00Z",
        "finished_at": "2026-01-31T13:00:00Z",
    }
    (folder / "stage.json").write_text(json.dumps(document))


def make_root(
    root: Path, precision: str = "int8", until: str = "performance", tune: bool = False
) -> None:
    """Finishes the stages in order, `until` included."""
    root.mkdir()
    (root / "host.json").write_text(json.dumps(HOST))
    extra: dict[str, str | None] = {
        "image": IMAGE,
        "run_id": RUN_ID,
        "architecture": "aarch64",
        "cpu": machine_type(HOST),
    }

    def read_stage(stage: str, key: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = StageFolder(root, stage, key).examine()[0]
        return found

    while True:
        asked = request(precision, tune)
        stages = Plan(CATALOGUE, asked, extra, read_stage, lambda _folder: None).stages()
        waiting = [stage for stage in stages if stage.document is None]
        if not waiting:
            return
        finish_stage(root, waiting[0])
        if waiting[0].name == until:
            return


def arguments(root: Path, precision: str = "int8", tune: bool = False) -> dict[str, Any]:
    """The arguments of module dlrm_result_info."""
    return {
        "root": str(root),
        "catalogue": CATALOGUE,
        "request": request(precision, tune),
        "run_id": RUN_ID,
        "image": IMAGE,
    }


def write_record(folder: Path, run_id: str, host: str) -> None:
    """Record the run whose files lie in `folder`, as controller and visit do."""
    document = record.build(
        folder,
        host=host,
        run_id=run_id,
        request=request(),
        request_sha256="d" * 64,
        image={"name": IMAGE, "id": "sha256:1"},
        controller="x@y",
        opened_at="2026-01-31T12:00:00Z",
        recorded_at="2026-01-31T14:00:00Z",
    )
    record.write(folder, document)

"""run.json: one immutable document per run and host, made from the run's folder alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..base.documents import read_json, read_text, sha256_file, write_atomic, write_json_atomic
from ..base.errors import FleetError
from ..judge.loadgen_log import DETAIL_NAME, SUMMARY_NAME
from ..judge.verdict import Evidence, judge

RUN_NAME = "run.json"
SUMS_NAME = "SHA256SUMS"
# A line of sha256sum(1) for a file below the folder.
SUM = re.compile(r"([0-9a-f]{64})  ((?:(?!\.\.?(?:/|\Z))[^/\\]+/)*(?!\.\.?\Z)[^/\\]+)")
# These fields say who recorded and when, not what was measured.
NOT_COMPARED = ("recorded_at", "controller")


def run_folder(storage_root: Path, run_id: str, host: str) -> Path:
    for name, value in (("run_id", run_id), ("host", host)):
        if "/" in value or value in ("", ".", ".."):
            raise FleetError(
                f"cannot use {name} {value!r}",
                "it becomes a folder's name, so it must not contain '/' or be empty, '.' or '..'",
            )
    return storage_root / "runs" / run_id / host


def build(
    folder: Path,
    host: str,
    run_id: str,
    request: dict[str, Any],
    request_sha256: str,
    image: dict[str, Any],
    controller: str,
    opened_at: str,
    recorded_at: str,
    failure: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record (docs/contracts/run.schema.json). Reads the folder and writes nothing.

    What is missing or broken becomes a reason in the verdict.
    """
    unreadable: list[str] = []
    documents = _stage_documents(folder, unreadable)
    host_document = _read(folder / "host.json", unreadable) or {}
    judgement = judge(
        Evidence(
            request=request,
            accuracy=documents.get("accuracy"),
            performance=documents.get("performance"),
            audit=documents.get("audit"),
            summary_text=read_text(folder / "performance" / SUMMARY_NAME),
            detail_text=read_text(folder / "performance" / DETAIL_NAME),
            accuracy_detail_text=read_text(folder / "accuracy" / DETAIL_NAME),
            host=host_document,
            failure=failure,
            unreadable=tuple(unreadable),
        )
    )
    return {
        "schema_version": 1,
        "run_id": run_id,
        "host": {**host_document, "name": host},
        "request": request,
        "request_sha256": request_sha256,
        "image": {"name": image["name"], "id": image["id"]},
        "stages": _stages(documents),
        "performance": judgement.performance,
        "accuracy": judgement.accuracy,
        "verdict": judgement.verdict,
        "comparability": judgement.comparability,
        "controller": controller,
        "opened_at": opened_at,
        "recorded_at": recorded_at,
        "files": list_files(folder),
    }


def _stage_documents(folder: Path, unreadable: list[str]) -> dict[str, dict[str, Any]]:
    documents = {}
    for path in sorted(folder.glob("stages/*.json")):
        document = _read(path, unreadable)
        if document is not None:
            documents[path.stem] = document
    return documents


def _read(path: Path, unreadable: list[str]) -> dict[str, Any] | None:
    """None if there is no such file, as judge() reports that, or if it is unreadable."""
    if not path.exists():
        return None
    try:
        return read_json(path)
    except FleetError as error:
        unreadable.append(str(error))
        return None


def _stages(documents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order they were made."""
    ordered = sorted(documents.items(), key=lambda item: (str(item[1].get("started_at")), item[0]))
    return [
        {"stage": name, "key": document["key"], "made_by_run": document["run_id"]}
        for name, document in ordered
        if "key" in document and "run_id" in document
    ]


def list_files(folder: Path) -> list[dict[str, Any]]:
    """{path, bytes, sha256} of each file, without the record and a killed writer's rest of it."""
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith((RUN_NAME, SUMS_NAME)):
            files.append({"path": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)})
    return files


def recorded(folder: Path) -> dict[str, Any] | None:
    path = folder / RUN_NAME
    return read_json(path) if path.exists() else None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of the fields in which two records of one run disagree."""
    # Both go through JSON, because one of them was written and read again.
    plain_old, plain_new = (json.loads(json.dumps(document)) for document in (old, new))
    names = sorted(set(plain_old) | set(plain_new))
    return [
        name
        for name in names
        if name not in NOT_COMPARED and plain_old.get(name) != plain_new.get(name)
    ]


def refuse_change(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    fields = differences(old, new)
    if fields:
        raise FleetError(
            f"cannot change {str(folder / RUN_NAME)!r}",
            f"it was recorded at {old.get('recorded_at')} and must stay as it is, but the folder's "
            f"files now give other values of {', '.join(fields)}",
            "Compare the folder with its SHA256SUMS (sha256sum -c), or start a new run",
        )


def write(folder: Path, document: dict[str, Any]) -> bool:
    """True when something was written; the checksums come last and complete the record."""
    folder.mkdir(parents=True, exist_ok=True)
    old = recorded(folder)
    if old is not None:
        refuse_change(folder, old, document)
    else:
        write_json_atomic(folder / RUN_NAME, document, mode=0o444)
    return _write_sums(folder) or old is None


def sums_text(folder: Path, document: dict[str, Any]) -> str:
    """The format of sha256sum(1), read back by `sha256sum -c SHA256SUMS` in the folder."""
    files = [*document["files"], {"path": RUN_NAME, "sha256": sha256_file(folder / RUN_NAME)}]
    for file in files:
        if "\n" in file["path"] or "\\" in file["path"]:
            raise FleetError(
                f"cannot record the file {file['path']!r}",
                "a name with a newline or backslash does not fit into SHA256SUMS",
            )
    files.sort(key=lambda file: str(file["path"]))
    return "".join(f"{file['sha256']}  {file['path']}\n" for file in files)


def is_complete(folder: Path) -> bool:
    """Recorded: SHA256SUMS is whole and every file in it has the content that it says.

    False if the sums are missing or torn. Raises FleetError if a file was changed or removed.
    """
    sums = read_text(folder / SUMS_NAME) or ""
    lines = [SUM.fullmatch(line) for line in sums.splitlines()]
    named = {match.group(2): match.group(1) for match in lines if match is not None}
    if len(named) != len(lines) or RUN_NAME not in named or not sums.endswith("\n"):
        return False
    for name, sha256 in named.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise FleetError(
                f"the record {str(folder)!r} is damaged",
                f"{name!r} does not have the sha256 that {SUMS_NAME} has",
                "Restore that file from a backup, or move the folder away",
            )
    return True


def _write_sums(folder: Path) -> bool:
    path = folder / SUMS_NAME
    if is_complete(folder):
        return False
    document = read_json(folder / RUN_NAME)
    for file in document["files"]:
        (folder / file["path"]).chmod(0o444)
    write_atomic(path, sums_text(folder, document).encode(), 0o444)
    return True


def one(storage_root: Path, run_id: str, host: str) -> dict[str, Any]:
    """{run, path, summary} of a recorded run; FleetError when the storage node has none."""
    folder = run_folder(storage_root, run_id, host)
    run = recorded(folder)
    if run is None:
        raise FleetError(
            f"no record of run {run_id} for host {host}",
            f"the storage node has no {str(folder / RUN_NAME)!r}",
            "Leave this host out with --limit, or leave run_id out to measure it anew",
        )
    summary = read_text(folder / "performance" / SUMMARY_NAME) if run["performance"] else None
    return {"run": run, "path": str(folder / RUN_NAME), "summary": summary or ""}


def newest(storage_root: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """(newest run.json of each host, a summary of each run, what could not be read)."""
    unreadable: list[str] = []
    runs = []
    for path in sorted((storage_root / "runs").glob(f"*/*/{RUN_NAME}")):
        document = _read(path, unreadable)
        if document is not None:
            runs.append(document)
    runs.sort(key=lambda run: (str(run["opened_at"]), run["run_id"], run["host"]["name"]))
    latest = {run["host"]["name"]: run for run in runs}
    return (
        [latest[name] for name in sorted(latest)],
        [_summary(run) for run in reversed(runs)],
        unreadable,
    )


def _summary(run: dict[str, Any]) -> dict[str, Any]:
    performance, accuracy = run["performance"] or {}, run["accuracy"] or {}
    parameters = run["request"].get("parameters", {})
    return {
        "run_id": run["run_id"],
        "host": run["host"]["name"],
        "opened_at": run["opened_at"],
        "precision": parameters.get("precision"),
        "profile": parameters.get("profile"),
        "samples_per_second": performance.get("samples_per_second"),
        "valid": performance.get("valid"),
        "auc": accuracy.get("auc"),
        "status": run["verdict"]["status"],
        "grade": run["verdict"]["grade"],
        "marks": run["comparability"]["marks"],
    }

"""run.json: one immutable document per run and host, made from the run's folder alone."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.documents import read_json, sha256_file, sync_directory, write_json_atomic
from ..base.errors import FleetError
from ..base.lenient import facts_of
from ..judge.loadgen_log import DETAIL_NAME, SUMMARY_NAME
from ..judge.verdict import Evidence, Judgement, judge, not_judged
from ..wire.facts import published
from ..wire.fields import Fields
from ..wire.run_record import run_record
from ..wire.strict_json import DEFAULT, Malformed, parse, read_bytes
from .stored import recorded as recorded, run_folder as run_folder
from .sums import (
    RUN_NAME as RUN_NAME,
    SUMS_NAME as SUMS_NAME,
    is_complete as is_complete,
    keep_verified,
    write_sums,
)

# A record is deeper than the documents it is made of.
FOREIGN = replace(DEFAULT, depth=DEFAULT.depth - 8)
# These fields say who recorded and when, not what was measured.
NOT_COMPARED = ("recorded_at", "controller")
# A failure quotes what a host said; the rest of a longer one explains nothing.
LONGEST_FAILURE = 256 * 1024


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
    if failure is not None:
        failure = {**failure, "message": str(failure["message"])[:LONGEST_FAILURE]}
    known = {
        "schema_version": 1,
        "run_id": run_id,
        "request": request,
        "request_sha256": request_sha256,
        "image": {"name": image["name"], "id": image["id"]},
        "controller": controller,
        "opened_at": opened_at,
        "recorded_at": recorded_at,
        "files": list_files(folder),
    }
    try:
        document = {**known, **_said_by(folder, host, request, failure)}
        # Nobody may fail on what this host says, so it is read here as everybody will read it.
        what = "cannot record what the host says"
        run_record(parse(json.dumps(document).encode(), what), what, run_id, host)
    except Malformed as error:
        refused = not_judged(Evidence(request=request, failure=failure), str(error))
        document = {**known, "host": {"name": host}, "stages": [], **_judged(refused)}
    return document


def _said_by(
    folder: Path, host: str, request: dict[str, Any], failure: dict[str, Any] | None
) -> dict[str, Any]:
    """The fields that a measured host's files give; Malformed where these cannot be used."""
    unreadable: list[str] = []
    documents = _stage_documents(folder, unreadable)
    machine = _read(folder / "host.json", unreadable) or {}
    evidence = Evidence(
        request=request,
        accuracy=documents.get("accuracy"),
        performance=documents.get("performance"),
        audit=documents.get("audit"),
        summary_text=_text(folder / "performance" / SUMMARY_NAME),
        detail_text=_text(folder / "performance" / DETAIL_NAME),
        accuracy_detail_text=_text(folder / "accuracy" / DETAIL_NAME),
        host=machine,
        failure=failure,
        unreadable=tuple(unreadable),
    )
    judgement = judge(evidence)
    return {"host": {**machine, "name": host}, "stages": _stages(documents), **_judged(judgement)}


def _judged(judgement: Judgement) -> dict[str, Any]:
    return {
        "performance": judgement.performance,
        "accuracy": judgement.accuracy,
        "verdict": judgement.verdict,
        "comparability": judgement.comparability,
    }


def _stage_documents(folder: Path, unreadable: list[str]) -> dict[str, dict[str, Any]]:
    documents = {}
    for path in sorted(folder.glob("stages/*.json")):
        document = _read(path, unreadable)
        if document is not None:
            documents[path.stem] = document
    return documents


def _read(path: Path, unreadable: list[str]) -> dict[str, Any] | None:
    """None if there is no such file, as judge() reports that, or if it is unreadable.

    Malformed if it is readable JSON, but none that can be used.
    """
    if not path.exists():
        return None
    try:
        _refuse_foreign(path)
        return read_json(path)
    except Malformed:
        raise
    except FleetError as error:
        unreadable.append(str(error))
        return None


def _refuse_foreign(path: Path) -> None:
    """Malformed for what is no strict JSON; in the words of read_json where that refuses it too."""
    try:
        content = read_bytes(path, FOREIGN.size)
        parse(content, f"cannot read {str(path)!r}", FOREIGN)
    except Malformed:
        if path.is_file() and path.stat().st_size <= FOREIGN.size:
            with suppress(RecursionError):
                read_json(path)
        raise


def _text(path: Path) -> str | None:
    """A log of LoadGen; None if there is none. Malformed if it is too large for one."""
    try:
        content = read_bytes(path, FOREIGN.size)
    except FileNotFoundError:
        return None
    text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _stages(documents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order they were made."""
    ordered = sorted(documents.items(), key=lambda item: (str(item[1].get("started_at")), item[0]))
    return [
        {
            "stage": name,
            "key": document["key"],
            "made_by_run": document["run_id"],
            **published(_facts(name, document)),
        }
        for name, document in ordered
        if "key" in document and "run_id" in document
    ]


def _facts(stage: str, document: dict[str, Any]) -> Fields:
    return Fields(facts_of(document), f"cannot use stage.json of {stage}", "its facts")


def list_files(folder: Path) -> list[dict[str, Any]]:
    """{path, bytes, sha256} of each file, without the record and what a killed writer leaves."""
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_ours = name in (RUN_NAME, SUMS_NAME) or name.endswith(".partial")
        if path.is_file() and not path.is_symlink() and not is_ours:
            files.append({"path": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)})
    return files


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
    for path in (folder.parent, folder.parent.parent):
        sync_directory(path)
    old = recorded(folder)
    if old is not None:
        refuse_change(folder, old.document, document)
    else:
        write_json_atomic(folder / RUN_NAME, document, mode=0o444)
    changed = write_sums(folder, document["files"]) or old is None
    keep_verified(folder)
    return changed

"""The storage node's own round: it pulls and records runs that nobody watches any more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...base.commands import Runner, run_bounded
from ...base.documents import read_json
from ...base.errors import FleetError
from ...base.times import format_time, parse_time, utc_now
from ...request.values import STAGES
from ...results import record
from ...wire.fields import Fields
from ...wire.host_answer import HostAnswer, host_answer, read_answer
from ...wire.strict_json import DEFAULT
from ...wire.waiting_run import spool_entry
from ..host.answer import answer
from ..rsync import remote_name, ssh_words, worded_failure
from . import spool
from .own_key import readable
from .processes import Bounds, Work, allow_file, run_apart
from .pull import Pull

# This long after its deadline, an unfinished run's files are pulled, without a record.
GRACE_SECONDS = 300
# A host that has said nothing by then is left to the next round: the others are waiting.
ANSWER_SECONDS = 120.0
# A shell's exit status for a command that it does not know.
NOT_FOUND = 127
COLLECTED = "its controller has collected it meanwhile"


def visit_all(
    storage_root: Path, run: Runner, at_once: int = 4, bounds: Bounds | None = None
) -> Iterator[tuple[str, bool]]:
    """(line, whether it succeeded) of each waiting run and host; a failure stops no other.

    Each is served by a process of its own, `at_once` at a time.
    """
    entries = {f"{path.parent.name} {path.stem}": path for path in spool.paths(storage_root)}
    works = [Work(name, partial(_serve, storage_root, path, run)) for name, path in entries.items()]
    for end in run_apart(works, at_once, bounds or Bounds()):
        # What a killed process leaves of the small files that it was bringing.
        for folder in (storage_root / "incoming").glob(f"{end.pid}.*.partial"):
            shutil.rmtree(folder, ignore_errors=True)
        # For the report. Whether it can be kept decides nothing.
        with suppress(OSError, FleetError):
            spool.keep_refusal(entries[end.name], "" if end.good else end.line.partition(": ")[2])
        yield end.line, end.good


def _serve(storage_root: Path, path: Path, run: Runner) -> str:
    if not path.exists():
        return COLLECTED
    entry = spool_entry(read_json(path), f"cannot use {str(path)!r}")
    with spool.locked(storage_root, entry["run_id"], entry["host"], wait=False):
        return _visit(storage_root, path, entry, run)


def _visit(storage_root: Path, path: Path, entry: dict[str, Any], run: Runner) -> str:
    if not path.exists():
        return COLLECTED
    folder = record.run_folder(storage_root, entry["run_id"], entry["host"])
    if spool.is_recorded(storage_root, entry["run_id"], entry["host"]):
        spool.mark_collected(storage_root, entry["run_id"], entry["host"])
        return "recorded already"
    found = ask(storage_root, entry)
    if found.state == "live":
        return "its controller is at work and collects it"
    late = (utc_now() - parse_time(found.deadline)).total_seconds()
    if not found.finished and late < GRACE_SECONDS:
        return "not finished yet"
    transferred = _pull(storage_root, entry, found, run)
    if not found.finished:
        # Not recorded: a record is immutable, and the same command may still finish the run.
        return f"unfinished at its deadline {found.deadline}; {transferred}"
    return f"collected, {_record(folder, storage_root, entry)}; {transferred}"


def _pull(storage_root: Path, entry: dict[str, Any], found: HostAnswer, run: Runner) -> str:
    pull = Pull(storage_root, entry["source"], run, entry.get("makers", ()))
    stages, refused = pull.store.accept(entry["host"], found.stages)
    items = pull.items(entry["host"], found.artifacts, entry["run_id"], found.run_files)
    items += pull.stage_items(stages, items)
    allow_file(max((item.size for item in items), default=0))
    transferred = pull.apply_all(pull.plan(items), int(entry["streams"]))
    refused += pull.store.keep_all(entry["host"], stages)[1]
    return "; ".join([f"{transferred / 1024**2:.1f} MiB transferred", *refused])


def _record(folder: Path, storage_root: Path, entry: dict[str, Any]) -> str:
    """Record it with the functions that the controller uses; returns the verdict's status."""
    document = record.build(
        folder,
        host=entry["host"],
        run_id=entry["run_id"],
        request=entry["request"],
        request_sha256=entry["request_sha256"],
        image=entry["image"],
        controller=entry["controller"],
        opened_at=entry["opened_at"],
        recorded_at=format_time(utc_now()),
    )
    record.write(folder, document)
    spool.mark_collected(storage_root, entry["run_id"], entry["host"])
    return str(document["verdict"]["status"])


def ask(storage_root: Path, entry: dict[str, Any]) -> HostAnswer:
    """The host's answer about the run (host/answer.py); without SSH if it is this machine."""
    source, run_id = readable(storage_root, entry["source"]), entry["run_id"]
    what = f"cannot use what {entry['host']} says about run {run_id}"
    if source is None:
        return read_answer(Fields(answer(Path(entry["host_root"]), run_id), what), STAGES)
    words = [*ssh_words(source), remote_name(source), f"dlrm-fleet result {run_id}"]
    rc, said, err = run_bounded(words, ANSWER_SECONDS, DEFAULT.size)
    if rc == NOT_FOUND:
        # The gate ends otherwise. An earlier release announced runs with such a key, too.
        raise FleetError(
            f"cannot ask {entry['host']} about run {run_id}",
            "the key that the storage node has opens a shell, and only the gate of the fleet's two"
            " keys knows the question",
            "Give the run's command again: it collects the run. To have visits, leave"
            " dlrm_storage_key_file empty",
        )
    if rc != 0:
        raise worded_failure(source, f"run {run_id}", "", rc, err)
    return host_answer(said, what, STAGES)

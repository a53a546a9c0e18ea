"""Lies in what a host measured, and in its record: it harms no other host's figures."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.run_record import run_record
from documents import valid
from hypothesis import HealthCheck, given, settings
from made_run import RUN_ID, make_root
from mutations import VALUES, places, replaced
from readers import WHAT
from test_dlrm_record import Fleet

import schemas

HONEST, LIAR = "arm-01", "arm-02"
EACH = 4


@pytest.fixture
def fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fleet:
    made = Fleet(tmp_path, capsys)
    make_root(made.root)
    made.fetch()
    return made


def lies(document: Any) -> Iterator[tuple[str, Any]]:
    """For each place some wrong values, other ones each time."""
    for number, at in enumerate(places(document)):
        for turn in range(EACH):
            value = VALUES[(number * EACH + turn) * 7 % len(VALUES)]
            what = f"{'/'.join(map(str, at))}: {ascii(value)[:60]}"
            yield what, replaced(document, at, value)


def shown(fleet: Fleet, what: str) -> list[str]:
    """The hosts whose newest record is shown; the honest one always is."""
    found = fleet.records()
    assert not found.get("failed"), (what, found)
    hosts = [run["host"]["name"] for run in found["newest"]]
    assert HONEST in hosts, (what, found["unreadable"])
    assert LIAR in hosts or found["unreadable"], what
    for sentence in found["unreadable"]:
        assert sentence.isprintable() and "Traceback" not in sentence, what
    return hosts


@pytest.mark.parametrize(
    "name", ["stages/accuracy.json", "stages/performance.json", "stages/dump.json", "host.json"]
)
def test_lies_in_what_was_measured_become_a_record_that_says_so(fleet: Fleet, name: str) -> None:
    assert not fleet.record().get("failed")
    arrived = fleet.storage / "runs" / RUN_ID / LIAR
    truth = fleet.storage.parent / "truth"
    shutil.copytree(fleet.run_dir, truth, ignore=shutil.ignore_patterns("run.json", "SHA256SUMS"))
    document = json.loads((truth / name).read_text())
    tried = 0
    for what, lie in lies(document):
        shutil.rmtree(arrived, ignore_errors=True)
        shutil.copytree(truth, arrived)
        (arrived / name).chmod(0o644)
        (arrived / name).write_text(json.dumps(lie))
        answer = fleet.record(host=LIAR)
        tried += 1
        if answer.get("failed"):
            assert "Traceback" not in answer["msg"] and "exception" not in answer, (what, answer)
        else:
            record = json.loads((arrived / "run.json").read_text())
            assert schemas.validator("run").is_valid(record), what
            assert record["host"]["name"] == LIAR
            assert record["run_id"] == RUN_ID
        shown(fleet, what)
    assert tried >= 30


def test_lies_in_a_record_hide_no_other(fleet: Fleet) -> None:
    assert not fleet.record().get("failed")
    folder = fleet.storage / "runs" / RUN_ID / LIAR
    shutil.copytree(fleet.run_dir, folder)
    for path in (folder / "run.json", folder / "SHA256SUMS"):
        path.chmod(0o644)
    document = json.loads((folder / "run.json").read_text())
    document["host"]["name"] = LIAR
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in sums if not line.endswith("  run.json")]
    for what, lie in [("nothing", document), *lies(document)]:
        (folder / "run.json").write_text(json.dumps(lie))
        digest = hashlib.sha256((folder / "run.json").read_bytes()).hexdigest()
        (folder / "SHA256SUMS").write_text("\n".join([*kept, f"{digest}  run.json"]) + "\n")
        hosts = shown(fleet, what)
        assert what != "nothing" or LIAR in hosts


@settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(valid(schemas.expanded("run")))
def test_each_record_that_the_schema_allows_is_read(document: dict[str, Any]) -> None:
    """The schema is what is written now. The type also reads what earlier releases wrote."""
    run_record(document, WHAT, document["run_id"], document["host"]["name"])

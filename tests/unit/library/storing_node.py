"""A storage node that records runs of hosts, and what a host or somebody else may make of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_run
import pytest
from module_runner import run_module

import dlrm_artifact
import dlrm_record
import dlrm_record_info
import dlrm_result_info
import dlrm_run_summary

RUN_ID = made_run.RUN_ID
CONTRACTS = made_run.REPOSITORY / "docs" / "contracts"
# A title for the window, a cleared screen, another direction of writing, red.
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202ereversed\x9b31m"
Run = dict[str, Any]


class Node:
    """A storage node that takes runs of hosts."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.root = folder / "storage"
        self.root.mkdir()

    def run_dir(self, host: str = "arm-01") -> Path:
        return self.root / "runs" / RUN_ID / host

    def call(self, module: Any, **arguments: Any) -> Run:
        """The module's answer; a traceback is an answer, too."""
        try:
            return run_module(module, self.capsys, storage_root=str(self.root), **arguments)
        except Exception as error:
            return {"failed": True, "msg": f"Traceback: {type(error).__name__}: {error}"}

    def fetch(self, host: str = "arm-01") -> None:
        root = self.folder / host
        made_run.make_root(root)
        found = dlrm_result_info.read({**made_run.arguments(root), "what": "run"}, "aarch64")
        answer = self.call(dlrm_artifact, host=host, run_id=RUN_ID, run_files=found["run_files"])
        assert not answer.get("failed"), answer

    def record(self, host: str = "arm-01") -> Run:
        return self.call(
            dlrm_record,
            run_id=RUN_ID,
            host=host,
            request=made_run.request(),
            request_sha256="d" * 64,
            controller="ops@controller",
            opened_at="2026-01-31T12:00:00Z",
            image={"name": made_run.IMAGE, "id": "sha256:1"},
        )

    def edit(self, name: str, change: Callable[[str], str], host: str = "arm-01") -> None:
        """A file of the run as that host sent it."""
        path = self.run_dir(host) / name
        path.chmod(0o644)
        path.write_text(change(path.read_text()))

    def records(self, **options: Any) -> Run:
        answer = self.call(dlrm_record_info, **options)
        assert not answer.get("failed"), answer
        return answer


def table(node: Node, *results: Run, **options: Any) -> Run:
    try:
        return run_module(
            dlrm_run_summary,
            node.capsys,
            results=list(results),
            storage="store-01:/srv/dlrm-storage",
            precision="int8",
            **options,
        )
    except Exception as error:
        return {"table": f"Traceback: {error}", "document": {"results": []}}


def forge(name: str, value: Any) -> Callable[[Run], None]:
    """`name`: the path of a field, with dots."""
    *folders, last = name.split(".")

    def change(run: Run) -> None:
        for folder in folders:
            run = run[folder]
        run[last] = value

    return change


def deep() -> Any:
    value: Any = 1
    for _ in range(200):
        value = [value]
    return value


BAD = [
    ("soft_auc a text", forge("accuracy.soft_auc", "high")),
    ("auc an object", forge("accuracy.auc", {"value": 1})),
    ("auc above 1", forge("accuracy.auc", 10**300)),
    ("rate of -5", forge("performance.samples_per_second", -5)),
    ("rate a list", forge("performance.samples_per_second", [1])),
    ("no verdict", forge("verdict", None)),
    ("another status", forge("verdict.status", "excellent")),
    ("reasons a number", forge("verdict.reasons", 7)),
    ("marks an object", forge("comparability", {"marks": 5})),
    ("request a text", forge("request", "int8")),
    ("run_id a number", forge("run_id", 5)),
]
BAD_OF_A_FOLDER = [
    ("another host", forge("host.name", "arm-02")),
    ("another run", forge("run_id", "20260131T120000Z-ffffff")),
    ("host a text", forge("host", "arm-01")),
    ("cores a text", forge("host.cpu.allowed_cores", "two")),
    ("duration a text", forge("performance.duration_ms", "long")),
    ("samples a text", forge("performance.samples_per_query", "many")),
    ("metric unknown", forge("accuracy.metric", "best")),
    ("deep", forge("comparability.reference", deep())),
    ("image a text", forge("image", "dlrm-bench")),
    ("noise a number", forge("verdict.evidence.noise", 5)),
    ("no figure", forge("performance", {})),
    ("no score", forge("accuracy", {})),
    ("opened_at a number", forge("opened_at", 5)),
]


def cases(*groups: list[tuple[str, Callable[[Run], None]]]) -> list[Any]:
    return [pytest.param(change, id=name) for group in groups for name, change in group]


def store(node: Node, change: Callable[[Run], None], host: str = "arm-01") -> Path:
    """A record as somebody may have written it, with true sums."""
    path = node.run_dir(host) / "run.json"
    document = json.loads(path.read_text())
    change(document)
    path.chmod(0o644)
    path.write_text(json.dumps(document))
    resum(path.parent)
    return path


def resum(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    names = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    sums.chmod(0o644)
    lines = [f"{hashlib.sha256((folder / one).read_bytes()).hexdigest()}  {one}\n" for one in names]
    sums.write_text("".join(lines))

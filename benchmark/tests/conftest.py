"""Fixtures: a stage's folder as the container sees it, and a way to run a stage in it."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.request import Request
from dlrm_bench.frame.status import StatusWriter

PARAMETERS: dict[str, Any] = {
    "precision": "int8",
    "scenario": "offline",
    "implementation": "native",
    "profile": "demo",
    "row_cap": 100,
    "data_rows": 2000,
    "seed": 1,
    "min_duration_seconds": 1,
    "audit": "none",
    "weights_source": None,
    "data_source": None,
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "measures: runs LoadGen; nothing may run beside it")


class StageRoot:
    """The folder that a container has at /dlrm, as a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "output"
        self.output.mkdir(parents=True, exist_ok=True)

    def ask(
        self,
        stage: str,
        inputs: Mapping[str, Path] | None = None,
        source: Mapping[str, Any] | None = None,
        attempt: int = 1,
        deadline: str = "2099-01-01T00:00:00Z",
        **parameters: Any,
    ) -> None:
        """Write request.json; `inputs` maps a stage to another stage's output folder."""
        given: dict[str, list[dict[str, Any]]] = {}
        for of, folder in (inputs or {}).items():
            (self.root / "inputs").mkdir(exist_ok=True)
            (self.root / "inputs" / of).symlink_to(folder)
            outputs = json.loads((folder / "stage.json").read_text())["outputs"]
            given[of] = [{**o, "path": f"/dlrm/inputs/{of}/{o['name']}"} for o in outputs]
        request = {
            "schema_version": 1,
            "stage": stage,
            "key": hashlib.sha256(stage.encode()).hexdigest(),
            "recipe": 1,
            "attempt": attempt,
            "run_id": "20260101T000000Z-abcdef",
            "parameters": {**PARAMETERS, **parameters},
            "inputs": given,
            "source": source,
            "deadline": deadline,
            "provenance": {
                "image": "dlrm-bench:test",
                "image_id": "",
                "host": "test",
                "architecture": "x86_64",
                "controller": "test",
                "commit": "",
            },
            "created_at": "2026-01-01T00:00:00Z",
        }
        (self.root / "request.json").write_text(json.dumps(request))

    def command(self) -> tuple[list[str], dict[str, str]]:
        """The container's command line and environment."""
        return [sys.executable, "-m", "dlrm_bench", "stage"], {
            **os.environ,
            "DLRM_ROOT": str(self.root),
        }

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the stage to its end in a process of its own."""
        arguments, environment = self.command()
        return subprocess.run(
            arguments, env=environment, capture_output=True, text=True, check=False
        )

    def status(self, attempt: int = 1) -> dict[str, Any]:
        """status.json of an attempt."""
        path = self.output / "attempts" / str(attempt) / "status.json"
        return dict(json.loads(path.read_text()))

    def document(self) -> dict[str, Any]:
        """stage.json."""
        return dict(json.loads((self.output / "stage.json").read_text()))


@pytest.fixture
def new_stage(tmp_path: Path) -> Callable[[str], StageRoot]:
    """Make a stage's root by name."""
    return lambda name: StageRoot(tmp_path / name)


@pytest.fixture(scope="session")
def new_session_stage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StageRoot]:
    """The same for roots several tests share."""
    return lambda name: StageRoot(tmp_path_factory.mktemp(name))


STAGE_INPUTS = {
    "weights": (),
    "dataset": ("weights",),
    "dump": ("weights",),
    "calibrate": ("dump", "dataset"),
}
DEMO = {"row_cap": 3000, "data_rows": 8000}


class Pipeline:
    """Stages run one after the other, each on its predecessors' outputs."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.folder, self.parameters = folder, parameters
        self.stages: dict[str, StageRoot] = {}

    def run(self, stage: str, source: Mapping[str, Any] | None = None) -> StageRoot:
        """Run a stage; it must succeed."""
        root, done = self.attempt(stage, source)
        assert done.returncode == 0, done.stderr
        return root

    def attempt(
        self, stage: str, source: Mapping[str, Any] | None = None, **parameters: Any
    ) -> tuple[StageRoot, subprocess.CompletedProcess[str]]:
        """Run a stage; it may fail."""
        root = self.ask(stage, source, **parameters)
        done = root.run()
        if done.returncode == 0:
            self.stages[stage] = root
        return root, done

    def ask(
        self, stage: str, source: Mapping[str, Any] | None = None, **parameters: Any
    ) -> StageRoot:
        """Make everything a stage needs, without starting it."""
        root = StageRoot(self.folder / stage)
        inputs = {s: self.stages[s].output for s in STAGE_INPUTS[stage] if s in self.stages}
        root.ask(stage, inputs=inputs, source=source, **{**self.parameters, **parameters})
        return root

    def refusal(
        self,
        monkeypatch: pytest.MonkeyPatch,
        stage: str,
        source: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> str:
        """The message with which a stage refuses; it runs in this process, which is quicker."""
        root = self.ask(stage, source, **parameters)
        monkeypatch.setenv("DLRM_ROOT", str(root.root))
        request = Request.read(root.root / "request.json")
        attempt = root.output / "attempts" / "1"
        (attempt / "scratch").mkdir(parents=True)
        status = StatusWriter(attempt / "status.json", request)
        with pytest.raises(StageError) as refused:
            importlib.import_module(f"dlrm_bench.stages.{stage}").run(
                StageContext(request, root.output, status)
            )
        return str(refused.value)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The demo's data stages on small data: run once, read by many tests."""
    pipeline = Pipeline(tmp_path_factory.mktemp("demo"), **DEMO)
    for stage in STAGE_INPUTS:
        pipeline.run(stage)
    return pipeline

"""One benchmark host as the stage modules see it: a root, a run, a catalogue of small stages."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker
from ansible.module_utils.dlrm_fleet.base.owner import Owner
from ansible.module_utils.dlrm_fleet.base.rights import as_owner_of
from ansible.module_utils.dlrm_fleet.base.times import format_time, utc_now
from ansible.module_utils.dlrm_fleet.container.engine import Engine
from ansible.module_utils.dlrm_fleet.runs.holder import machine_id, process_started
from ansible.module_utils.dlrm_fleet.runs.runs import Runs
from ansible.module_utils.dlrm_fleet.stages.asked import Asked, Start
from ansible.module_utils.dlrm_fleet.stages.attend import attend_stage
from ansible.module_utils.dlrm_fleet.stages.folder import StageFolder
from ansible.module_utils.dlrm_fleet.stages.view import StageView
from ansible.module_utils.dlrm_fleet.stages.watch import watch

RUN = "20260131T120000Z-0a1b2c"
NEXT_RUN = "20260201T120000Z-0a1b2c"
SHA = "ab" * 32
USER = "65534:65534" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
WATCH_SECONDS = 30


def stage(name: str, **fields: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"inputs": [], "parameters": [], "key_extra": [], "links": []}
    return {"name": name, "recipe": 1, "network": False, **empty, **fields}


CATALOGUE: dict[str, Any] = {
    "schema_version": 1,
    "implementation": "native",
    "stages": [
        stage(
            "made",
            parameters=["seed"],
            links=[{"output": "made.bin", "path": "model/{architecture}_{precision}.bin"}],
        ),
        stage("derived", inputs=[{"stage": "made", "files": ["*.bin"]}]),
        stage("only_int8", when={"precision": ["int8"]}),
        stage("sourced", source="data_source", network=True),
        stage("looking", inputs=[{"stage": "made"}], shm_bytes=8 * 4096 * 1024),
        stage("measured", key_extra=["run_id", "image"]),
        stage("lost", source="data_source", network=True),
        stage("telling", source="data_source", network=True),
        *[stage(name) for name in ("waiting", "stubborn", "raising", "full", "mute", "odd")],
        *[stage(name) for name in ("hungry", "unsaid", "half", "wordy")],
    ],
}


def request(**changes: Any) -> dict[str, Any]:
    parameters = {
        "precision": "fp32",
        "scenario": "offline",
        "implementation": "native",
        "profile": "demo",
        "row_cap": 1000,
        "data_rows": 2000,
        "seed": 1,
        "min_duration_seconds": 1,
        "audit": "none",
        "weights_source": None,
        "data_source": None,
    }
    return {
        "schema_version": 1,
        "parameters": {**parameters, **changes.pop("parameters", {})},
        "run_id": None,
        "run_wait_seconds": 0,
        "force_stages": [],
        "verify": False,
        "keep": "all",
        "deadline_seconds": 60,
        "exit_policy": "all",
        "sources": {"weights_source": None, "data_source": None},
        "marks": ["demo: not comparable"],
        **changes,
    }


def own_controller() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "id": "tester@here",
        "machine_id": machine_id(),
        "pid": pid,
        "pid_started": process_started(pid),
    }


class Machine:
    def __init__(self, root: Path, image: str) -> None:
        self.root = root
        self.engine = Engine(root)
        self.client = docker.from_env()
        self.owner = Owner(USER)
        self.owner.make_directory(root)
        self.asked = Asked(root, CATALOGUE, request(), RUN, image, own_controller())
        self.deadline = format_time(utc_now() + timedelta(seconds=60))
        self.open_run(RUN)

    def rights(self) -> AbstractContextManager[None]:
        """As the modules of library/ work. Rights are the process's: threads keep root's."""
        is_main = threading.current_thread() is threading.main_thread()
        return as_owner_of(self.asked.root) if is_main else nullcontext()

    def open_run(self, run_id: str) -> None:
        Runs(self.root).open(run_id, SHA, self.asked.controller, 60, self.owner)
        self.asked = replace(self.asked, run_id=run_id)

    def ask(self, **changes: Any) -> None:
        self.asked = replace(self.asked, request=request(**changes))

    def start(
        self, name: str, force: bool = False, check: bool = False, secret: str = ""
    ) -> StageView:
        start = Start(name, USER, self.deadline, "node1", "c0ffee", force, check, secret)
        with self.rights():
            return attend_stage(self.asked, start, self.engine, wait_seconds=0)

    def have(self, name: str, wait: float) -> StageView:
        start = Start(name, USER, self.deadline, "node1", "c0ffee", force=False, check=False)
        with self.rights():
            return attend_stage(self.asked, start, self.engine, wait)

    def watch(self, name: str, wait: float = 0, token: str = "") -> StageView:
        with self.rights():
            return watch(self.asked.plan(), self.engine, name, wait, token, check=False)[0]

    def finish(self, name: str, **options: Any) -> StageView:
        """Start the stage and watch it until it ends."""
        result = self.start(name, **options)
        assert result.state in ("running", "done"), result
        return self.until(name, lambda seen: seen.state not in ("running", "unknown"))

    def until(self, name: str, reached: Callable[[StageView], bool]) -> StageView:
        ends = time.monotonic() + WATCH_SECONDS
        while True:
            seen = self.watch(name)
            if reached(seen):
                return seen
            assert time.monotonic() < ends, f"still {seen}"
            time.sleep(0.1)

    def folder(self, name: str) -> StageFolder:
        plan = self.asked.plan()
        key = plan.stage(name).key
        assert key is not None
        return plan.folder(name, key)

    def containers(self) -> list[Any]:
        label = f"dlrm-fleet.root={self.root}"
        return list(self.client.containers.list(all=True, filters={"label": label}))

    def remove_containers(self) -> None:
        for container in self.containers():
            container.remove(force=True)

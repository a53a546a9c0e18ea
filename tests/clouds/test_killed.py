"""SIGKILL ends the controller between a request and its answer; the next one adopts the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
from ansible.module_utils.dlrm_fleet.cloud.release import release
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .stand_in.faults import CREATE, DELETE, PROTECT, Hold
from .test_conformance import names
from .worlds import FLEET, TTL, World

ROOT = Path(__file__).parents[2]


def kill_at(world: World, hold: Hold, folder: Path, do: str, count: int = 4) -> None:
    """Run a controller until the cloud has done what `hold` names, then kill it."""
    asked: dict[str, Any] = {
        "do": do, "fleet": FLEET, "ttl": TTL, "settings": world.settings(),
        "groups": {"arm": world.group(count)}, "pace": {"poll": 0.01, "workers": 2},
    }  # fmt: skip
    (folder / "asked.json").write_text(json.dumps(asked))
    world.server.faults.hold = hold
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clouds.controller", str(folder / "asked.json")],
        cwd=ROOT,
        env={**os.environ, **world.environment()},
        stderr=subprocess.PIPE,
        text=True,
    ) as controller:
        reached = hold.reached.wait(300)
        controller.send_signal(signal.SIGKILL)
        assert controller.stderr is not None
        said = controller.stderr.read()
    world.server.faults.hold = None
    hold.released.set()
    assert reached, said
    assert controller.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", [1, 3])
def test_killed_before_the_answer_to_a_creation(
    world: World, pace: Pace, tmp_path: Path, name: int
) -> None:
    # AWS shows the machine only later, so only the token can prevent a second one.
    world.server.faults.hidden_listings = 1
    kill_at(world, Hold(CREATE, names(4)[name - 1]), tmp_path, "acquire")
    assert names(4)[name - 1] in world.server.alive()
    acquire(world.provider(), FLEET, world.machines(4), pace)
    assert world.server.alive() == names(4)
    release(world.provider(), FLEET, pace)
    assert world.server.bills() == []


def test_killed_before_the_answer_to_a_deletion(world: World, pace: Pace, tmp_path: Path) -> None:
    acquire(world.provider(), FLEET, world.machines(3), pace)
    kill_at(world, Hold(DELETE), tmp_path, "release")
    release(world.provider(), FLEET, pace)
    assert world.server.bills() == []


def test_killed_and_never_repeated(world: World, tmp_path: Path) -> None:
    """If no command follows, the TTL's two layers end the machine, with or without a schedule."""
    kill_at(world, Hold(CREATE, names(4)[1]), tmp_path, "acquire")
    assert world.server.alive() != []
    world.server.pass_time(TTL + 120)
    assert world.server.bills() == []


def test_a_schedule_that_is_missing_is_made_by_the_next(
    cloud: World, world: World, pace: Pace, tmp_path: Path
) -> None:
    action = PROTECT if cloud.name == "aws" else CREATE
    kill_at(world, Hold(action), tmp_path, "acquire", count=2)
    acquire(world.provider(), FLEET, world.machines(2), pace)
    shown = world.listed()
    assert len(shown) == 2
    assert all(item.protected_until == item.expires_at is not None for item in shown)

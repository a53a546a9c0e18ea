"""Random commands under random faults leave no orphan and no duplicate in the cloud's state."""

from __future__ import annotations

import os
import random

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
from ansible.module_utils.dlrm_fleet.cloud.release import release
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .test_conformance import names
from .worlds import FLEET, World

# For both clouds together; the long suite runs more.
SEQUENCES = int(os.environ.get("DLRM_FAULT_SEQUENCES", "40")) // 2


def trouble(world: World, dice: random.Random) -> None:
    """One to three kinds at once."""
    faults = world.server.faults
    faults.clear()
    faults.hidden_listings = dice.choice([0, 0, 1, 2])
    if dice.random() < 0.6:
        faults.random(dice.randrange(2**30), dice.choice([0.05, 0.2]))
    if dice.random() < 0.4:
        faults.random(dice.randrange(2**30), 0.2, "throttling")
    if dice.random() < 0.3:
        faults.no_capacity(*dice.sample(world.zones, dice.randint(1, 3)))
    if dice.random() < 0.2:
        faults.rules.append(world.quota_after(dice.randint(0, 3), [0]))
    if dice.random() < 0.2:
        faults.first(dice.randint(5, 30), "server", "create", after=True)


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_no_orphans_and_no_twins(world: World, pace: Pace, seed: int) -> None:
    dice = random.Random(seed)
    pace.limit = 0.05
    world.add_stranger("bench-arm-99", {"project": "billing", "fleet": FLEET})
    provider = world.provider()
    for _ in range(dice.randint(2, 4)):
        trouble(world, dice)
        count = dice.randint(0, 4)
        try:
            if dice.random() < 0.3:
                release(provider, FLEET, pace)
            else:
                acquire(provider, FLEET, world.machines(count), pace)
        except FleetError:
            continue
        alive = [name for name in world.server.alive() if name != "bench-arm-99"]
        assert len(alive) == len(set(alive)), "twins"
        assert set(alive) <= set(names(4))
    world.server.faults.clear()
    # Google answers a repeated request with the old refusal; its age tells it from a new one.
    world.age_requests(600)
    count = dice.randint(0, 4)
    acquire(provider, FLEET, world.machines(count), pace)
    assert world.server.alive() == [*names(count), "bench-arm-99"]
    release(provider, FLEET, pace)
    assert world.server.alive() == ["bench-arm-99"]

"""DLRM_FAULTS_RANDOM: how many runs; DLRM_FAULTS_SEED: the first run's random seed."""

from __future__ import annotations

import os
from concurrent.futures import Future

import pytest

from . import ledger
from .kills import RandomKill
from .trial import Outcome

RUNS = int(os.environ.get("DLRM_FAULTS_RANDOM", "2"))
FIRST = int(os.environ.get("DLRM_FAULTS_SEED", "1"))


KILLS = [
    kill for kill in map(RandomKill, range(FIRST, FIRST + RUNS)) if ledger.is_wanted(kill.name)
]


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_killed_at_random(kill: RandomKill, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[kill.name].result()
    assert not outcome.problem, outcome.problem
    assert outcome.notes, "nothing was killed"

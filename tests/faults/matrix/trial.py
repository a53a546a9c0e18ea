"""One thing tried on a host: a fault in a phase, or a random kill; and what became of it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from fleet.engine import HarnessError

from .bench import Bench

Baseline = dict[str, dict[str, str]]


@dataclass
class Outcome:
    """What became of a trial; `problem` is empty when all held."""

    trial: str
    how: str = ""
    said: str = ""
    problem: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


class Trial(Protocol):
    @property
    def name(self) -> str:
        """Unique among all trials; names the test and the line in the ledger."""

    def attempt(self, bench: Bench, baseline: Baseline, outcome: Outcome) -> None:
        """Raises when something does not hold."""

    def tidy(self, bench: Bench) -> None:
        """Whatever became of it."""


def _clear(bench: Bench, trial: Trial) -> None:
    bench.end()
    trial.tidy(bench)


def make(bench: Bench, trial: Trial, baseline: Baseline) -> Outcome:
    """In a thread: what fails is kept for the test that asked for this trial."""
    outcome, started = Outcome(trial.name), time.monotonic()
    bench.begin()
    try:
        trial.attempt(bench, baseline, outcome)
        _clear(bench, trial)
    except Exception as error:
        outcome.problem = f"{type(error).__name__}: {error}"
        with suppress(HarnessError):
            _clear(bench, trial)
    outcome.seconds, outcome.notes = time.monotonic() - started, list(bench.notes)
    return outcome

"""One trial on a host, a fault in a phase or a random kill, and its outcome."""

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
    """A trial's outcome; `problem` is empty if all checks held."""

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
        """Run the trial; raises AssertionError if a check does not hold."""

    def tidy(self, bench: Bench) -> None:
        """Clean up, also after a failure."""


def _clear(bench: Bench, trial: Trial) -> None:
    bench.end()
    trial.tidy(bench)


def make(bench: Bench, trial: Trial, baseline: Baseline) -> Outcome:
    """Runs in a thread; a failure is kept for the test that wants this trial."""
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

"""Tries ways side by side, each in a thread of its own, for a bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ...base.errors import FleetError
from ...wire.ways import FAILED, NOTE, SKIPPED, Way

# So long one way may take. All are tried at once, so that all together take no longer.
SECONDS = 5.0
SLOW = "Look at the network between the two, and at the load of both machines"


class Skip(Exception):
    """This way is not needed, or cannot be tried: the argument says why."""


class Hint(FleetError):
    """This way does not serve, but a run can do without it."""


@dataclass(frozen=True)
class Trial:
    """`try_it` returns what was found. It raises Skip, or FleetError, whose why and todo count."""

    way: Way
    try_it: Callable[[], str]


def try_all(trials: Iterable[Trial], seconds: float = SECONDS) -> list[Way]:
    """What became of each trial, in their order.

    One that does not end in time is a note: on a busy machine it may only be slow. What waits for
    another machine has a shorter limit of its own, and says what did not answer.
    """
    wanted = list(trials)
    found: dict[int, Way] = {}

    def work(number: int, trial: Trial) -> None:
        found[number] = outcome(trial)

    threads = [
        # A daemon: one that hangs must not keep this process from ending.
        threading.Thread(target=work, args=(number, trial), daemon=True)
        for number, trial in enumerate(wanted)
    ]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = f"no answer within {seconds:g} s"
    return [
        found.get(number) or replace(trial.way, state=NOTE, why=late, todo=SLOW)
        for number, trial in enumerate(wanted)
    ]


def outcome(trial: Trial) -> Way:
    try:
        return replace(trial.way, why=trial.try_it())
    except Skip as reason:
        return replace(trial.way, state=SKIPPED, why=str(reason))
    except FleetError as error:
        state = NOTE if isinstance(error, Hint) else FAILED
        return replace(trial.way, state=state, why=error.why or error.what, todo=error.todo)
    except (OSError, RuntimeError, ValueError) as error:
        return replace(trial.way, state=FAILED, why=str(error) or type(error).__name__, todo=SLOW)

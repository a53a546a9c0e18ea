"""Faults in words that all clouds share; each server translates them to its cloud's errors."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

CREATE, LIST, DELETE, PROTECT = "create", "list", "delete", "protect"


@dataclass(frozen=True)
class Call:
    """`action`: create, list, delete, protect, or the cloud's own name of another call."""

    action: str
    name: str = ""
    zone: str = ""
    type: str = ""


@dataclass(frozen=True)
class Fault:
    """`after`: the request takes effect, but its answer is lost. `missing`: a permission's name."""

    kind: str
    after: bool = False


Rule = Callable[[Call], Fault | None]


@dataclass
class Hold:
    """Stops one request after its effect, before its answer."""

    action: str
    name: str = ""
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Decides for every request whether it fails, and how. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.rules: list[Rule] = []
        self.calls: Counter[str] = Counter()
        self.latency = 0.0
        self.hold: Hold | None = None
        # How many listings do not show a machine yet.
        self.hidden_listings = 0

    def decide(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls[call.action] += 1
            found = next((fault for rule in self.rules if (fault := rule(call))), None)
        if self.latency:
            time.sleep(self.latency)
        return found

    def wait_if_held(self, call: Call) -> None:
        hold = self.hold
        if hold is None or hold.action != call.action or hold.name not in ("", call.name):
            return
        hold.reached.set()
        hold.released.wait(120)

    def no_capacity(self, *zones: str) -> None:
        self.rules.append(
            lambda call: Fault("capacity") if call.action == CREATE and call.zone in zones else None
        )

    def always(self, kind: str, *actions: str) -> None:
        self.rules.append(
            lambda call: Fault(kind) if not actions or call.action in actions else None
        )

    def first(self, times: int, kind: str, *actions: str, after: bool = False) -> None:
        left = [times]

        def rule(call: Call) -> Fault | None:
            if left[0] < 1 or (actions and call.action not in actions):
                return None
            left[0] -= 1
            return Fault(kind, after)

        self.rules.append(rule)

    def random(self, seed: int, share: float, kind: str = "server") -> None:
        """Random faults; half of them come after the request took effect."""
        dice = random.Random(seed)
        self.rules.append(
            lambda call: Fault(kind, dice.random() < 0.5) if dice.random() < share else None
        )

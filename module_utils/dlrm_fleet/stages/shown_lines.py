"""Which lines of running stages a terminal shows: few, however many hosts and however long. Pure.

Up to FEW hosts: one line for each stage and host when it ends, and how far it is when it lasts.
More hosts: one line for each stage when all have ended it, one for each host that was measured,
and now and then how many hosts are in which stage. The log has every line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

FEW = 3
# The stage whose end is shown for each host.
MEASURES = "performance"
# A stage's line is shown after this time, and again each time the time has doubled.
FIRST_SECONDS = 30
LONGEST_SECONDS = 1800
# The same for a fleet: after 5 min, 15 min, 45 min and so on.
FLEET_SECONDS = 300
FLEET_FACTOR = 3

# Lines of progress_line, and those that the end of the stage repeats (start.py, view.py).
PROGRESS = re.compile(r"(\S{1,60}) (?:.* elapsed\b|started, attempt |starting)")
ENDED = re.compile(r"\S{1,60} (?:done in|skipped|would run)\b")


@dataclass
class _Pace:
    """When a line of this kind is due again, in seconds of the clock."""

    began: float
    due: float


@dataclass
class ShownLines:
    """`clock`: seconds that only grow; `hosts`: how many may run stages."""

    clock: Callable[[], float]
    hosts: int = 1
    _paces: dict[tuple[str, str], _Pace] = field(default_factory=dict)
    # Of a fleet: host -> stage that it is in; stage -> how it ended on each host.
    _running: dict[str, str] = field(default_factory=dict)
    _ended: dict[str, dict[str, str]] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _fleet: _Pace | None = None

    def said(self, host: str, text: str) -> list[str]:
        """What to show now that the stage said this line while it runs."""
        if ENDED.match(text):
            return []
        progress = PROGRESS.match(text)
        if progress is None:
            # A lost connection, a wait: at once, and then ever more seldom.
            return self._seldom(host, text.split(" ", 1)[0], text, at_once=True)
        if self.hosts > FEW:
            self._running[host] = progress[1]
            return self._overview()
        return self._seldom(host, progress[1], text, at_once=False)

    def ended(self, host: str, stage: str, state: str, line: str) -> list[str]:
        """What to show now that the stage has ended on this host. `state`: as dlrm_stage says."""
        self._running.pop(host, None)
        if state == "skipped":
            return []
        if self.hosts <= FEW or stage == MEASURES:
            return [f"[{host}] {line}"]
        if state == "would_run":
            how = "would run on"
        else:
            how = "done on" if " done in " in line else "there already on"
        self._ended.setdefault(stage, {})[host] = how
        return self._complete()

    def lost(self, host: str) -> list[str]:
        """A host that failed is not waited for."""
        self._lost.add(host)
        self._running.pop(host, None)
        return self._complete()

    def close(self) -> list[str]:
        """What was not shown because not all hosts came so far."""
        return [self._stage_line(stage) for stage in [*self._ended]]

    def _seldom(self, host: str, kind: str, text: str, at_once: bool) -> list[str]:
        now = self.clock()
        pace = self._paces.get((host, kind))
        if pace is None:
            pace = self._paces[host, kind] = _Pace(now, now + (0 if at_once else FIRST_SECONDS))
        if now < pace.due:
            return []
        pace.due = now + min(max(now - pace.began, FIRST_SECONDS), LONGEST_SECONDS)
        return [f"[{host}] {text}"]

    def _overview(self) -> list[str]:
        now = self.clock()
        if self._fleet is None:
            self._fleet = _Pace(now, now + FLEET_SECONDS)
        if now < self._fleet.due:
            return []
        took = now - self._fleet.began
        self._fleet.due = self._fleet.began + took * FLEET_FACTOR
        counts = Counter(self._running.values()).most_common(5)
        where = ", ".join(f"{count} in {stage}" for stage, count in counts)
        return [f"Hosts after {took / 60:.0f} min: {where}"]

    def _complete(self) -> list[str]:
        """A line of each stage that no host is still to end."""
        full = [
            stage
            for stage, hosts in self._ended.items()
            if len(self._lost | hosts.keys()) >= self.hosts
        ]
        return [self._stage_line(stage) for stage in full]

    def _stage_line(self, stage: str) -> str:
        counts = Counter(self._ended.pop(stage).values()).most_common()
        return f"{stage}: " + ", ".join(
            f"{how} {count} host{'' if count == 1 else 's'}" for how, count in counts
        )

"""Progress of a measurement, for status.json."""

from __future__ import annotations

import time

from dlrm_bench.frame.context import StageContext

#: Seconds between two updates of a phase; an update for each batch would cost a tenth of the time.
PROGRESS_SECONDS = 0.5


class Progress:
    """Writes one phase's percent, rate and time left to status.json."""

    def __init__(self, ctx: StageContext, phase: str, unit: str) -> None:
        self._ctx, self._phase, self._unit = ctx, phase, unit
        self._began = self._said = time.monotonic()
        ctx.status.update(phase, 0.0)

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` units; cheap to call often."""
        now = time.monotonic()
        if done < total and now - self._said < PROGRESS_SECONDS:
            return
        self._said = now
        rate = done / max(now - self._began, 1e-3)
        eta = (total - done) / rate if done else None
        percent = 100.0 * done / max(total, 1)
        self._ctx.status.update(self._phase, percent, rate, f"{self._unit}/s", eta)

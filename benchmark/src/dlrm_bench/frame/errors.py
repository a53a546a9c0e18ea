"""The error of a stage: what failed, why, what to do next."""

from __future__ import annotations


class StageError(Exception):
    """A failure in words: what failed on which object, why (wanted and found), what to do next."""

    def __init__(self, what: str, why: str, next_step: str = "") -> None:
        self.what, self.why, self.next_step = what, why, next_step
        sentences = [f"{what}: {why}", next_step]
        super().__init__(" ".join(s.strip().rstrip(".") + "." for s in sentences if s))


class Unfinished(StageError):
    """The stage ended while it fetched; what has arrived is kept for the next attempt."""

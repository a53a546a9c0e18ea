"""Which machine a host says it is: equal for two names of one machine."""

from __future__ import annotations

import re

MACHINE = re.compile(r"[0-9a-f]{32}")


def machine_of(answer: object) -> str | None:
    """The answer of runs/holder.machine_id() on a host; None: it says nothing that can be used.

    Such a host counts as a machine of its own: it must not keep others from being measured.
    """
    return answer if isinstance(answer, str) and MACHINE.fullmatch(answer) else None

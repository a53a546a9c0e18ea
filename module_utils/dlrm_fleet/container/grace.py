"""How long a container may outlive its deadline."""

from __future__ import annotations

# The container gets SIGTERM at its deadline and SIGKILL this much later.
KILL_AFTER_SECONDS = 30
# After that the next look at it kills it: a paused container cannot end by itself.
OVERDUE_SECONDS = KILL_AFTER_SECONDS + 5

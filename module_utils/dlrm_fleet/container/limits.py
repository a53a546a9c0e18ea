"""What a stage's container may take: shared memory, and the grace after its deadline."""

from __future__ import annotations

# Size of /dev/shm, unless the catalogue (benchmark/stages.json) names another for the stage.
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
# The container gets SIGTERM at its deadline and SIGKILL this much later.
KILL_AFTER_SECONDS = 30
# After that the next look at it kills it: a paused container cannot end by itself.
OVERDUE_SECONDS = KILL_AFTER_SECONDS + 5

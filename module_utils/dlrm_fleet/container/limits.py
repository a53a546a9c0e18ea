"""What a stage's container may take: shared memory, and the grace after its deadline."""

from __future__ import annotations

# /dev/shm, where the catalogue (benchmark/stages.json) names no other size for the stage.
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
# The container gets SIGTERM at its deadline and SIGKILL so much later.
KILL_AFTER_SECONDS = 30
# Then whoever looks next kills it: a paused container cannot end by itself.
OVERDUE_SECONDS = KILL_AFTER_SECONDS + 5

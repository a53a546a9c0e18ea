"""Shared memory of a stage's container."""

from __future__ import annotations

# Size of /dev/shm, unless the catalogue (benchmark/stages.json) names another for the stage.
DEFAULT_SHM_BYTES = 64 * 1024 * 1024

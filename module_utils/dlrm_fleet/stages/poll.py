"""How often a stage that runs is looked at, and how often that is told."""

from __future__ import annotations

# One call of dlrm_stage_info waits so long for news: the controller's poll.
POLL_SECONDS = 15.0
# Within a call the host looks so often.
LOOK_SECONDS = 1.0
# A look costs the host some milliseconds: a stage that measures it is looked at less often.
LOOK_AT_MEASURED_SECONDS = 4.0
# A new phase or percentage is worth a line this often; a changed state at once.
PROGRESS_SECONDS = 4.0

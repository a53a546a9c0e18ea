"""How often a running stage is looked at, and how often its progress is printed."""

from __future__ import annotations

# One call of dlrm_stage_info waits this long for news: it is the controller's poll.
POLL_SECONDS = 15.0
# Between two looks within a call.
LOOK_SECONDS = 1.0
# The same for a stage that measures the host: a look costs it some milliseconds.
LOOK_AT_MEASURED_SECONDS = 4.0
# A new phase or percentage is printed this often, a changed state at once.
PROGRESS_SECONDS = 4.0

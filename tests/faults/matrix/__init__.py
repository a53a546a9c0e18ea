"""What happens to machines, in every phase of a run: fault by fault, phase by phase."""

import pytest

# What an assertion compared is what a line of the ledger has to say.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("bench", "cells", "faults", "kills", "phases", "trial"))
)

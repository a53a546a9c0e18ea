"""Faults in every phase of a run."""

import pytest

# The ledger needs the values that an assertion compared.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("bench", "cells", "faults", "kills", "phases", "trial"))
)

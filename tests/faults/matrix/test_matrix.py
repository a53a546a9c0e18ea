"""After each fault the run is completed; with DLRM_FAULTS_EVERY_PHASE, in every phase."""

from __future__ import annotations

from concurrent.futures import Future

from .cells import QUICK, Cell
from .faults import FAULTS
from .phases import PHASES
from .trial import Outcome


def test_no_fault_and_no_phase_is_left_out() -> None:
    assert set(QUICK) == set(FAULTS)
    assert set(QUICK.values()) == set(PHASES)


def test_fault(cell: Cell, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[cell.name].result()
    assert not outcome.problem, outcome.problem
    assert outcome.how

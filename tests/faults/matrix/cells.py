"""The cells of the matrix of faults and phases, and what one cell does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible.module_utils.dlrm_fleet.runs.runs import MEASURED_STAGE

from fleet.engine import wait_until

from .bench import HANG_SECONDS, ROOT, Bench, Ended
from .faults import FAULTS, Fault, OutputDamaged
from .phases import PHASES, Phase
from .trial import Baseline, Outcome

# `make test`: each fault in one phase, every phase at least once.
# Cells that wait long come first, so that the others run beside them.
QUICK = {
    "network cut for good": "performance",
    "deadline reached": "performance",
    "SSH master hung": "calibrate",
    "controller SIGKILL": "calibrate",
    "controller SIGINT": "record",
    "controller SIGHUP": "fetch",
    "network cut 60 s": "accuracy",
    "network cut 5 s": "performance",
    "stage SIGKILL": "weights",
    "engine TERM": "accuracy",
    "engine KILL": "performance",
    "host rebooted": "calibrate",
    "host disk full": "dump",
    "storage disk full": "fetch",
    "out of memory": "calibrate",
    "clock +1d": "performance",
    "clock -1d": "performance",
    "second controller": "accuracy",
    "image removed": "dump",
    "output truncated": "dump",
    "output flipped": "calibrate",
    "output replaced": "dataset",
}


@dataclass(frozen=True)
class Cell:
    fault: Fault
    phase: Phase

    @property
    def name(self) -> str:
        return f"{self.fault.name} in {self.phase.name}"

    def attempt(self, bench: Bench, baseline: Baseline, outcome: Outcome) -> None:
        if isinstance(self.fault, OutputDamaged) and self.phase.name == MEASURED_STAGE:
            _try_damaged_measurement(bench, self, baseline, outcome)
        else:
            _try(bench, self, baseline, outcome)

    def tidy(self, bench: Bench) -> None:
        self.phase.disarm(bench)
        self.phase.release(bench, "")
        self.fault.tidy(bench)


def cells(every: bool) -> list[Cell]:
    """All cells that make sense, or one a fault. Faults without a target there are left out."""
    if not every:
        return [Cell(FAULTS[fault], PHASES[phase]) for fault, phase in QUICK.items()]
    return [
        Cell(fault, phase)
        for fault in FAULTS.values()
        for phase in PHASES.values()
        if not fault.phases or phase.name in fault.phases
    ]


def _try(bench: Bench, cell: Cell, baseline: Baseline, outcome: Outcome) -> None:
    fault, phase = cell.fault, cell.phase
    if isinstance(fault, OutputDamaged):
        _damage(bench, fault, phase)
        fault.prepare(bench)
        before = bench.survey()
        bench.start()
    else:
        phase.arm(bench)
        fault.prepare(bench)
        before = bench.survey()
        bench.start()
        container = phase.reach(bench)
        fault.inject(bench, phase, container)
    ended = bench.wait(_patience(bench))
    fault.lift(bench)
    if fault.ends_run is not None:
        assert (ended.code != 0) is fault.ends_run, f"exit {ended.code}:\n{ended.output[-3000:]}"
    if isinstance(fault, OutputDamaged):
        assert "remade because" in ended.flat, ended.output[-3000:]
    if ended.code == 0:
        outcome.how = "went on by itself"
    else:
        outcome.said = _assert_worded(fault, ended)
        again = bench.run()
        assert again.code == 0, f"the same command again: exit {again.code}\n{again.output[-4000:]}"
        outcome.how = "the same command completed it"
    bench.assert_whole(before, baseline)


def _try_damaged_measurement(
    bench: Bench, cell: Cell, baseline: Baseline, outcome: Outcome
) -> None:
    """Damage an output that no command has fetched yet, because a run measures anew."""
    assert isinstance(cell.fault, OutputDamaged)
    cell.phase.arm(bench)
    bench.start()
    FAULTS["controller SIGKILL"].inject(bench, cell.phase, cell.phase.reach(bench))
    measured = f"ls {ROOT}/stages/{cell.phase.name}/*/stage.json"
    wait_until(lambda: bench.host.await_shell(measured), "it was measured, nobody watching")
    # Wait for modules that outlive their controller: they would see the damage and make it anew.
    wait_until(lambda: not bench.left_running(), "what the dead controller started has ended")
    _damage(bench, cell.fault, cell.phase)
    before = bench.survey()
    ended = bench.run()
    outcome.how = "went on by itself"
    if ended.code != 0:
        # Damage of the same size shows only when the storage node compares sha256.
        outcome.said = _assert_worded(cell.fault, ended)
        ended = bench.run(verify=True)
        assert ended.code == 0, f"with verify=true: exit {ended.code}\n{ended.output[-4000:]}"
        outcome.how = "the same command completed it"
    assert "remade because" in ended.flat, ended.output[-3000:]
    bench.assert_whole(before, baseline, remade=1)


def _patience(bench: Bench) -> float:
    seconds = re.match(r"(\d+)s$", str(bench.variables.get("deadline", "")))
    if seconds is None:
        return bench.patience
    # The verdict comes after the deadline, and is slow on a slow machine.
    return int(seconds[1]) + HANG_SECONDS + max(240.0, 5 * bench.undisturbed_seconds)


def _assert_worded(fault: Fault, ended: Ended) -> str:
    """Check that the output says what failed, why and what to do; returns its line."""
    for group in fault.words:
        assert any(word.lower() in ended.flat.lower() for word in group), (
            f"none of {group} in:\n{ended.output[-4000:]}"
        )
    # The verdict's line of this host, which is folded over several lines.
    said = re.findall(r"! (\w+: .*?) (?=! |These results are|\d+ of \d+ hosts)", ended.flat)
    return said[-1][:300] if said else ""


def _damage(bench: Bench, fault: OutputDamaged, phase: Phase) -> None:
    """The largest output of the phase's finished stage."""
    script = (
        f"f=$(find {ROOT}/stages/{phase.name}/*/ -type f -not -path '*/attempts/*'"
        " -not -name stage.json -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2);"
        f" {fault.script}"
    )
    before = bench.survey()
    bench.host.shell(script)
    after = bench.survey()
    changed = [f for f, s in after["stages"].items() if s["found"] != before["stages"][f]["found"]]
    assert [folder.split("/")[0] for folder in changed] == [phase.name]

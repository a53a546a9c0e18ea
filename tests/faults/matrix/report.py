"""docs/faults.md: what became of each fault in each phase, as measured."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

from fleet.engine import REPOSITORY

from .cells import Outcome, cells
from .phases import PHASES

PATH = REPOSITORY / "docs/faults.md"
COMMAND = "tests/long/faults.sh"
HEAD = """# What happens when something happens

Written by `{command}` on {date} at commit {commit}; do not edit. Each cell is one run of the
demo profile on an SSH host with a storage node: the fault is put into the phase and shown to have
happened, then the same command is given again. Recovered means: each stage ran to its end exactly
once, the sha256 of every artifact equals an undisturbed run's, the record verifies, nothing is
left running and no lock is left.

- **itself**: the run went on without help. **again**: it ended with a message, and the same
  command completed it.
- `-`: there is nothing of that kind in that phase (no container, no output). `not run`: not part
  of this invocation.

"""


def _word(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    if outcome.problem:
        return "**FAILED**"
    return "itself" if outcome.how == "went on by itself" else "again"


def render(outcomes: list[Outcome]) -> str:
    said = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()
    text = HEAD.format(command=COMMAND, date=f"{datetime.now(UTC):%Y-%m-%d}", commit=commit)
    found = {outcome.cell.name: outcome for outcome in outcomes}
    known = {cell.name for cell in cells(every=True)}
    faults = list(dict.fromkeys(cell.fault.name for cell in cells(every=True)))
    text += f"| fault | {' | '.join(PHASES)} |\n|{' --- |' * (len(PHASES) + 1)}\n"
    for fault in faults:
        row = []
        for phase in PHASES:
            name = f"{fault} in {phase}"
            row.append(_word(found.get(name)) if name in known else "-")
        text += f"| {fault} | {' | '.join(row)} |\n"
    text += f"\n{sum(not one.problem for one in outcomes)} of {len(outcomes)} cells recovered.\n"
    told = {one.cell.fault.name: one.said for one in outcomes if one.said}
    if told:
        text += "\n## What the user reads\n\n"
        text += "".join(f"- {fault}: `{line}`\n" for fault, line in told.items())
    return text


def write_report(outcomes: list[Outcome]) -> None:
    PATH.write_text(render(outcomes))

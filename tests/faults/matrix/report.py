"""Writes docs/faults.md from the ledger: outcomes of faults in phases, and of random kills."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fleet.engine import REPOSITORY

from .cells import cells
from .phases import PHASES

PATH = REPOSITORY / "docs/faults.md"
HEAD = """# Which faults were tried, and did the runs recover?

`tests/long/faults.sh` writes this page from `docs/faults.jsonl`; do not edit it. Each trial is a
run of the demo profile on an SSH host with a storage node. The test causes the fault in one phase
of the run and checks that it happened. Then it gives the same command again. The phases are the
stages, `fetch` (the storage node pulls the files) and `record` (it writes the record). "Engine"
means container engine.

A trial has recovered if each stage ran to its end exactly once, the sha256 of every artifact
equals that of a run without a fault, the record verifies, nothing is left running, and no lock is
left.

| outcome | meaning |
| --- | --- |
| itself | the run continued without help |
| again | the run ended with a message, and the same command completed it |
| - | this fault cannot happen in this phase (there is no container or no output) |
| not tried | nobody has tried it yet |

"""
RANDOM = "random kill "


def _word(line: dict[str, Any] | None) -> str:
    if line is None:
        return "not tried"
    if line["problem"]:
        return "**FAILED**"
    return "itself" if line["how"] == "went on by itself" else "again"


def _matrix(found: dict[str, dict[str, Any]]) -> str:
    known = {cell.name for cell in cells(every=True)}
    text = f"| fault | {' | '.join(PHASES)} |\n|{' --- |' * (len(PHASES) + 1)}\n"
    for fault in dict.fromkeys(cell.fault.name for cell in cells(every=True)):
        names = [f"{fault} in {phase}" for phase in PHASES]
        row = [_word(found.get(name)) if name in known else "-" for name in names]
        text += f"| {fault} | {' | '.join(row)} |\n"
    tried = [found[name] for name in known if name in found]
    recovered = sum(not line["problem"] for line in tried)
    return text + f"\n{recovered} of {len(known)} cells recovered, {len(tried)} were tried.\n"


def _random(found: dict[str, dict[str, Any]]) -> str:
    kills = [line for name, line in found.items() if name.startswith(RANDOM)]
    recovered = [line for line in kills if not line["problem"]]
    alone = sum(line["how"] == "went on by itself" for line in recovered)
    text = (
        "\n## A random process killed at a random moment\n\nEach run makes everything anew."
        " One process of the controller or the host gets SIGKILL after a random task began.\n"
        f"{len(recovered)} of {len(kills)} runs recovered, {alone} of them by themselves.\n"
    )
    struck: Counter[str] = Counter()
    for line in kills:
        for note in line["notes"]:
            struck[note.split(" after task")[0]] += 1
    if struck:
        text += "\n| process | killed |\n| --- | --- |\n"
        text += "".join(f"| {process} | {count} |\n" for process, count in struck.most_common())
    return text


def render(found: dict[str, dict[str, Any]]) -> str:
    text = HEAD + _matrix(found) + _random(found)
    told = {name.rpartition(" in ")[0]: line["said"] for name, line in found.items()}
    told = {fault: said for fault, said in told.items() if said}
    if told:
        text += "\n## What does the user read?\n\n| fault | message |\n| --- | --- |\n"
        text += "".join(f"| {fault} | `{line}` |\n" for fault, line in told.items())
    text += "\n## When was it tried?\n\n"
    text += "| date | commit | cells | random kills |\n| --- | --- | --- | --- |\n"
    when = Counter((line["date"], line["commit"]) for line in found.values())
    random = Counter(
        (line["date"], line["commit"]) for name, line in found.items() if name.startswith(RANDOM)
    )
    for (date, commit), count in sorted(when.items()):
        kills = random[date, commit]
        text += f"| {date} | {commit} | {count - kills} | {kills} |\n"
    return text


def write_report(found: dict[str, dict[str, Any]]) -> None:
    PATH.write_text(render(found))

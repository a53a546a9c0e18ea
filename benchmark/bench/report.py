"""Makes the measured tables of docs/performance.md from docs/bench/CPU/*.json.

    python benchmark/bench/report.py [--check]

Each table stands between the comments `bench:NAME` and `/bench:NAME`; what is between them is
replaced, nothing else. --check changes nothing and fails where the page is not what the files say.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOT_YET = "Not measured yet."
Document = dict[str, Any]
Figure = dict[str, float] | None


def number(figure: Figure, digits: int = 0, unit: str = "", spread: bool = False) -> str:
    """A median, with least and most if wanted; '-' where no round counts."""
    if figure is None:
        return "-"
    shown = f"{figure['median']:,.{digits}f}{unit}"
    if spread:
        shown += f" ({figure['least']:,.{digits}f} .. {figure['most']:,.{digits}f})"
    return shown


def percent(figure: Figure, spread: bool = False) -> str:
    """A share as per cent."""
    scaled = figure and {name: 100 * value for name, value in figure.items()}
    return number(scaled, 1, " %", spread)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def source(document: Document) -> str:
    """One line: what, where, when, on what code, and how many rounds count."""
    return (
        f"`{document['command']}` ({document['date']}, commit {document['commit'][:7]}"
        f"{'-dirty' if document['commit'].endswith('-dirty') else ''}, {document['cpu']}, "
        f"{document['cpus']} CPUs, PyTorch {document['torch']}; {document['quiet_rounds']} of "
        f"{document['rounds']} rounds count)"
    )


def with_sources(made: str, documents: Sequence[Document]) -> str:
    """A table and where its rows come from."""
    return "\n".join([made, "", *(f"- {source(document)}" for document in documents)])


def speed(documents: Sequence[Document]) -> str:
    """One core: a row an engine."""
    head = ["precision, row cap", "engine (batch)", "pairs/s", "share of peak"]
    head += ["engine against it", "soft AUC of fp32's"]
    rows = []
    for document in documents:
        found = document["summary"]
        for name, engine in document["engines"].items():
            rows.append(
                [
                    f"{document['precision']}, {document['row_cap']:,}",
                    f"{engine} ({document['best_batch'][name]})",
                    number(found["pairs_per_second"][name]),
                    percent(found["share_of_peak"].get(name)),
                    number(found["engine_against"].get(name), 2, "x", spread=True),
                    f"{100 * document['soft_auc_retention'][name]:.3f} %",
                ]
            )
    return with_sources(table(head, rows), documents)


def machine(documents: Sequence[Document]) -> str:
    """The whole machine: a row a ratio."""
    rows = []
    for document in documents:
        what = f"{document['precision']}, {document['workers']} workers"
        found = document["summary"]
        for name, figure in found["ratios"].items():
            rows.append([what, name, percent(figure, spread=True)])
        for name, key in (("Offline", "offline"), ("Server", "server")):
            shown = number(found[f"{key}_samples_per_second"], 1)
            rows.append([what, f"{name}, samples/s", shown])
        rows.append([what, "Server, p99", number(found["server_p99_ms"], 1, " ms")])
    made = table(["precision", "what", "median (least .. most)"], rows)
    return with_sources(made, documents)


def queue(documents: Sequence[Document]) -> str:
    """A stub engine: a row a number of workers, and where the one process's time goes."""
    head = ["workers", "samples/s", "the process alone could carry", "most of its time"]
    rows = []
    for document in documents:
        for workers, found in document["summary"].items():
            causes = document["microseconds_by_cause"][workers]
            most = sorted(causes.items(), key=lambda item: -item[1])[:3]
            rows.append(
                [
                    workers,
                    number(found["samples_per_second"]),
                    number(found["process_could_carry"], 0, " samples/s"),
                    ", ".join(f"{name} {spent:.1f} µs a sample" for name, spent in most),
                ]
            )
    return with_sources(table(head, rows), documents)


def start(documents: Sequence[Document]) -> str:
    """Seconds to the first query: a row a size."""
    rows = []
    for document in documents:
        for row_cap, size in document["sizes"].items():
            what = f"{document['precision']}, row cap {int(row_cap):,}"
            rows.append([what, number(size["seconds"], 1, " s", True), phases(size["phases"])])
        official = document["official"]
        if official:
            seconds = f"{official['seconds']:.0f} s, extrapolated"
            rows.append(
                [f"{document['precision']}, full model", seconds, phases(official["phases"])]
            )
    return with_sources(
        table(["what", "stage start to first query", "most of it"], rows), documents
    )


def phases(seconds: dict[str, float]) -> str:
    """The four longest."""
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name} {spent:.1f} s" for name, spent in longest)


TABLES: dict[str, Callable[[Sequence[Document]], str]] = {
    "speed": speed,
    "machine": machine,
    "queue": queue,
    "start": start,
}


def render(documents: Sequence[Document]) -> dict[str, str]:
    """The text of each kind: a table a CPU, from the documents of that kind and CPU."""
    made = {}
    for kind, make in TABLES.items():
        of_kind = [document for document in documents if document["kind"] == kind]
        of_cpu: dict[str, list[Document]] = {}
        for document in of_kind:
            of_cpu.setdefault(document["cpu"], []).append(document)
        tables = [f"On {cpu}:\n\n{make(found)}" for cpu, found in of_cpu.items()]
        made[kind] = "\n\n".join(tables) if tables else NOT_YET
    return made


def insert(page: str, tables: dict[str, str]) -> str:
    """The page with each table between its markers; ValueError where one has no place."""
    for name, text in tables.items():
        opening, closing = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        before, found, rest = page.partition(opening)
        _, closed, after = rest.partition(closing)
        if not found or not closed:
            raise ValueError(f"the page has no '{opening}' ... '{closing}'")
        page = f"{before}{opening}\n{text}\n{closing}{after}"
    return page


def read(folder: Path) -> list[Document]:
    """Every document, in the order of the files' names."""
    paths = sorted(folder.glob("*/*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def main() -> int:
    """0 when the page says what the files say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=Path, default=DOCS / "bench")
    parser.add_argument("--page", type=Path, default=DOCS / "performance.md")
    asked = parser.parse_args()
    page = asked.page.read_text(encoding="utf-8")
    wanted = insert(page, render(read(asked.results)))
    if asked.check and wanted != page:
        print(f"'{asked.page}' is not what '{asked.results}' says: run benchmark/bench/report.py")
        return 1
    if not asked.check:
        asked.page.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

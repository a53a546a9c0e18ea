"""The fleet's verdict: one table in which every host appears."""

from __future__ import annotations

import textwrap
from typing import Any

from ..base.wording import printable
from ..judge.loadgen_log import SUMMARY_NAME
from ..wire.run_record import judged_run
from ..wire.strict_json import Malformed
from .images import images_note

WIDTH = 100
COLUMNS = (
    ("host", 22),
    ("precision", 9),
    ("samples/s", 12),
    ("LoadGen", 8),
    ("AUC %", 8),
    ("soft AUC %", 10),
    ("verdict", 11),
    ("grade", 7),
)
NOTHING = "-"


def summarise(
    results: list[dict[str, Any]],
    exit_policy: str | int,
    hosts: list[str] | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    """{lines, table, passed, document, limit}; `document`: the content of verdict-NAME.json.

    `results`: {host, failure, run} each; `exit_policy`: all, any, or the percentage that must pass;
    `hosts`: all that were asked to run. A host that is not among the results is missing.
    """
    heard = {str(result["host"]) for result in results}
    silent = [{"host": host} for host in hosts or [] if host not in heard]
    rows = [
        _row(result) for result in sorted([*results, *silent], key=lambda one: str(one["host"]))
    ]
    count = sum(row["status"] == "passed" for row in rows)
    passed = _passes(count, len(rows), exit_policy)
    lines = _table(rows)
    noted = [line for note in images_note(results) for line in textwrap.wrap(note, WIDTH)]
    lines += ["", *noted, *_marks(rows), _outcome(count, len(rows), exit_policy, passed)]
    document = {
        "schema_version": 1,
        "run_id": run_id,
        "passed": passed,
        "exit_policy": f"{exit_policy}%" if isinstance(exit_policy, int) else exit_policy,
        "hosts_passed": count,
        "hosts": len(rows),
        "results": rows,
    }
    return {
        "lines": lines,
        "table": "\n".join(lines),
        "passed": passed,
        "document": document,
        "limit": _limit(rows),
    }


def _limit(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a file for --limit: the hosts that did not pass, and localhost, which judges."""
    failed = [str(row["host"]) for row in rows if row["status"] != "passed"]
    return [*failed, "localhost"] if failed else []


def _passes(count: int, total: int, policy: str | int) -> bool:
    """Without any host the fleet does not pass."""
    if total == 0:
        return False
    if policy == "any":
        return count > 0
    return count * 100 >= total * (100 if policy == "all" else int(policy))


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """What the table says of a host. Texts are escaped here, so that no reader needs to."""
    if not result.get("run"):
        return _row_without_run(result)
    try:
        run = judged_run(result["run"], f"cannot use the record of {result['host']}")
    except Malformed as error:
        return {**_row_without_figures(result), "status": "failed", "reasons": [str(error)]}
    return {
        "host": result["host"],
        "run_id": run.run_id,
        "precision": run.precision,
        "samples_per_second": run.samples_per_second,
        "valid": run.valid,
        "auc": run.auc,
        "soft_auc": run.soft_auc,
        "status": run.status,
        "grade": run.grade,
        "reasons": [*map(printable, run.reasons), *_afterthought(result, run.status)],
        "marks": [printable(mark) for mark in run.marks],
        "failure": _failure(result),
    }


def _row_without_run(result: dict[str, Any]) -> dict[str, Any]:
    failure = _failure(result)
    if failure is None:
        status, reason = "missing", "The host left neither a record nor a failure."
    else:
        phase = failure["phase"]
        status = phase if phase in ("unreachable", "interrupted") else "failed"
        reason = _said(failure)
    return {**_row_without_figures(result), "status": status, "reasons": [reason]}


def _row_without_figures(result: dict[str, Any]) -> dict[str, Any]:
    empty = ("run_id", "precision", "samples_per_second", "valid", "auc", "soft_auc")
    return {
        "host": result["host"],
        **dict.fromkeys(empty, None),
        "grade": "unknown",
        "marks": [],
        "failure": _failure(result),
    }


def _afterthought(result: dict[str, Any], status: str) -> list[str]:
    """What else failed on a host whose record passed."""
    failure = _failure(result)
    if failure is None or status != "passed":
        return []
    return [f"The result counts, though something else failed: {_said(failure)}"]


def _said(failure: dict[str, str]) -> str:
    return f"{failure['phase'] or 'run'}: {failure['message'] or 'no message was left'}"


def _failure(result: dict[str, Any]) -> dict[str, str] | None:
    """What ended the host's run early, as {phase, message}."""
    failure = result.get("failure")
    if not failure:
        return None
    return {name: printable(str(failure.get(name) or "")) for name in ("phase", "message")}


def _cells(row: dict[str, Any]) -> list[str]:
    rate = row["samples_per_second"]
    valid = {True: "VALID", False: "INVALID"}.get(row["valid"], NOTHING)
    return [
        printable(str(row["host"])),
        str(row["precision"] or NOTHING),
        NOTHING if rate is None else f"{rate:,.2f}" if rate < 1e6 else f"{rate:,.0f}",
        valid,
        _percent(row["auc"]),
        _percent(row["soft_auc"]),
        row["status"],
        row["grade"],
    ]


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value * 100:.3f}"


def _line(cells: list[str]) -> str:
    """A name longer than its column keeps its end, where machines of one kind differ."""
    shown = []
    for cell, (title, width) in zip(cells, COLUMNS):
        text = cell if len(cell) <= width else f"…{cell[-(width - 1) :]}"
        is_number = title in ("samples/s", "AUC %", "soft AUC %")
        shown.append(text.rjust(width) if is_number else text.ljust(width))
    return " ".join(shown).rstrip()


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [_line([title for title, _ in COLUMNS]), " ".join("-" * width for _, width in COLUMNS)]
    for row in rows:
        lines.append(_line(_cells(row)))
        for reason in row["reasons"]:
            for line in str(reason).splitlines() or [""]:
                lines += textwrap.wrap(
                    line, WIDTH, initial_indent="    ! ", subsequent_indent="      "
                )
    return lines


def _marks(rows: list[dict[str, Any]]) -> list[str]:
    marks = sorted({mark for row in rows for mark in row["marks"]})
    return [f"These results are marked: {'; '.join(marks)}."] if marks else []


def _outcome(count: int, total: int, policy: str | int, passed: bool) -> str:
    if total == 0:
        return "No host was asked to run: check the inventory and --limit."
    wanted = {"all": "all must", "any": "one must"}.get(str(policy), f"{policy} % must")
    return f"{count} of {total} hosts passed, {wanted}: {'passed' if passed else 'FAILED'}."


def check_words(document: dict[str, Any], hosts: list[str], storage: str) -> dict[str, Any]:
    """What check mode says in place of a verdict, and what a real run would refuse."""
    run = document["run_id"] or "<run id>"
    failures = [row["failure"]["message"] for row in document["results"] if row["failure"]]
    return {
        "would": f"Check mode: nothing was run. A real run would bring the artifacts and results of"
        f" {', '.join(hosts)} to {storage}/runs/{run}/<host>, write the report and judge them.",
        "refused": failures,
    }


def places(
    document: dict[str, Any], files: dict[str, str], storage: str, report: str, precision: str
) -> str:
    """Where everything lies, a line each. `storage`: node:folder; `files`: VerdictFiles.written."""
    lines = {
        "Results and logs": f"{storage}/runs/{document['run_id'] or NOTHING}/<host>/",
        "Report": report,
        "Verdict": files.get("verdict", NOTHING),
        "To run again": files.get("limit", "nothing"),
        "On each host": f"$HOME/results/{precision}/{SUMMARY_NAME}, $HOME/model/, $HOME/data/",
    }
    return "\n".join(f"{name + ':':<18}{value}" for name, value in lines.items())


def refusal(lines: list[str], files: dict[str, str]) -> str:
    """Why the command fails, and which command runs the hosts again that did not pass."""
    said = f"{lines[-1]} The reasons stand in the table above."
    if "limit" not in files:
        return said
    return f"{said} To run only these again, add --limit @{files['limit']} to the same command."

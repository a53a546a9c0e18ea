"""How a command's short output words hosts, long texts and its end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

# More hosts than this are counted, not named.
NAMED = 3


def label(names: Iterable[str]) -> str:
    """[a, b and 30 others], with a blank; empty where no host is to be named."""
    hosts = _listed(names)
    return f"[{hosts}] " if hosts else ""


def failures(result: Mapping[str, Any], reason: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """The sentences of a failed task: its own, or one for each item that failed."""
    items = [one for one in result.get("results") or [] if isinstance(one, Mapping)]
    failed = [one for one in items if one.get("failed") or one.get("unreachable")]
    return [str(one.get("censored") or reason(one)) for one in failed or [result]]


def without_rules(text: str) -> str:
    """Without blank lines and lines of one repeated mark."""
    return "\n".join(line for line in text.splitlines() if line.strip("=-* "))


def shortened(text: str, first: int, last: int) -> str:
    """The text's first and last lines, and how many are left out."""
    lines = text.splitlines()
    more = len(lines) - first - last
    if more <= 1:
        return text
    end = lines[len(lines) - last :]
    return "\n".join([*lines[:first], f"… {more} more lines are in the log", *end])


def outcome(
    changed: Mapping[str, int], failed: Iterable[str], unreachable: Iterable[str], check: bool
) -> str:
    """How many tasks changed something, and on which hosts one failed. `changed`: host -> tasks."""
    count = sum(changed.values())
    said = f"{count} change{'' if count == 1 else 's'}{' would be made' if check else ''}"
    others = [("failed", _listed(failed)), ("unreachable", _listed(unreachable))]
    return "; ".join([f"Ended: {said}", *(f"{how}: {who}" for how, who in others if who)])


def _listed(names: Iterable[str]) -> str:
    hosts = sorted(set(filter(None, names)))
    if len(hosts) <= NAMED:
        return ", ".join(hosts)
    return f"{', '.join(hosts[: NAMED - 1])} and {len(hosts) - NAMED + 1} others"

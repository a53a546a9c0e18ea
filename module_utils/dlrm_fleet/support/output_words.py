"""How a command's short output words hosts, long texts and its end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# More hosts than this are counted, not named.
NAMED = 3


def label(names: Iterable[str]) -> str:
    """[a, b and 30 others], with a blank; empty where no host is to be named."""
    hosts = _listed(names)
    return f"[{hosts}] " if hosts else ""


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
    hosts = [host for host, count in changed.items() if count]
    said = _count(sum(changed.values()), "change") + (" would be made" if check else "")
    if hosts:
        said += f" on {_count(len(hosts), 'host')}"
    others = [("failed", _listed(failed)), ("unreachable", _listed(unreachable))]
    return "; ".join([f"Ended: {said}", *(f"{how}: {who}" for how, who in others if who)])


def _listed(names: Iterable[str]) -> str:
    hosts = sorted(set(filter(None, names)))
    if len(hosts) <= NAMED:
        return ", ".join(hosts)
    return f"{', '.join(hosts[: NAMED - 1])} and {len(hosts) - NAMED + 1} others"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

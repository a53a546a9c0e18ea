"""Names of variables: which are documented, and which are almost, but not quite, ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .fleet import names
from .request import ADDRESSES, FOREIGN_PREFIXES, PUBLIC

# Also "# dlrm_x:", a documented variable without a default.
VARIABLE = re.compile(r"^[#\s]*(dlrm_\w+):", re.MULTILINE)
# Words of their own are one letter apart: below SHORT nearly all, below LONG many.
SHORT, LONG = 5, 8


def documented(roles_path: Iterable[str], repository: str) -> set[str]:
    """dlrm_* that roles and the common inventory name."""
    found: set[str] = set()
    for roles in map(Path, roles_path):
        found |= _named(roles.glob("*/defaults/*.yml"))
        found |= _named(roles.glob("*/meta/argument_specs.yml"))
    inventories = Path(repository, "inventories")
    found |= _named(inventories.glob("*/fleet.yml"))
    return found | _named(inventories.glob("common/group_vars/**/*.yml"))


def of_inventories(sources: Iterable[str]) -> set[str]:
    """dlrm_* that group_vars and host_vars of these inventories name, also in comments."""
    found: set[str] = set()
    for source in map(Path, sources):
        folder = source if source.is_dir() else source.parent
        found |= _named(folder.glob("*_vars/**/*.yml"))
    return found


def _named(paths: Iterator[Path]) -> set[str]:
    return {
        name
        for path in paths
        if path.is_file()
        for name in VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace"))
    }


def near_misses(carried: dict[str, list[str]], known: Iterable[str]) -> list[str]:
    """A sentence for each variable of an inventory whose name is almost a public or dlrm_ one.

    `carried`: name -> the groups and hosts that have it; `known`: documented dlrm_ names.
    """
    ours = sorted({*PUBLIC, *ADDRESSES, *known})
    sentences = []
    for name in sorted(set(carried) - set(ours)):
        meant = None if name.startswith(FOREIGN_PREFIXES) else meant_by(name, ours)
        if meant:
            sentences.append(
                f"{name}: unknown variable; did you mean {meant}? It stands in the inventory, at"
                f" {names(carried[name])}. If it is your own, give it another name."
            )
    return sentences


def meant_by(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is a slip of; None: it is a name of its own.

    A slip is one letter too many, too few or wrong, two neighbours that changed places, or another
    way to write it (dataRows, data-rows). The shorter the name, the fewer of these count.
    """
    plain = _plain(name)
    for one in known:
        other = _plain(one)
        # Names that begin with dlrm belong to this project, so two slips count, too.
        most = 2 if plain.startswith("dlrm") and other.startswith("dlrm") else 1
        if _is_slip(plain, other, most):
            return one
    return None


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _is_slip(plain: str, other: str, most: int) -> bool:
    if plain == other:
        return True
    if sorted(plain) == sorted(other):
        # tuen, presicion
        return _steps(plain, other) <= (1 if len(other) < LONG - 1 else 2)
    more = len(plain) - len(other)
    if abs(more) > most or len(set(plain) ^ set(other)) > 2 * most:
        return False
    if len(other) < LONG:
        # need is not seed, audio not audit, profiles and profiler not profile.
        word_of_its_own = (more == 0 and len(other) < LONG - 1) or plain.startswith(other)
        if word_of_its_own or len(other) < SHORT:
            return False
    return _steps(plain, other) <= most


def _steps(one: str, other: str) -> int:
    """Letters to add, to leave out or to replace, and neighbours to exchange, to get the other.

    This is the optimal string alignment distance (a restricted form of Damerau, 1964).
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]

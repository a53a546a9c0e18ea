"""Typed values out of the strings that extra variables are."""

from __future__ import annotations

import json
import re
from typing import Any, Callable

from ..runs.run_id import RUN_ID
from ..support.redact import redact
from ..wire.source_parts import part_source
from .secret_files import how_to_give

# Equal to benchmark/stages.json and to the action plugin's list: tests/contract compares.
STAGES = (
    *("repositories", "weights", "dataset", "dump", "calibrate", "tune", "accuracy"),
    *("performance", "audit"),
)


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Problems:
    """Collects every bad value, so that all are named at once; what looks secret is left out."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def bad(self, name: str, value: object, allowed: str) -> None:
        self.sentences.append(f"{name}: {shown(value)} is not allowed; allowed: {allowed}.")

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)


class Reader:
    """Typed values out of strings; a bad one is noted and read as None or its default."""

    def __init__(self, given: dict[str, Any], problems: Problems) -> None:
        self.given = given
        self.problems = problems

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None) -> str | None:
        if name not in self.given:
            if default is None:
                self.problems.add(
                    f"{name}: missing, it must be given; allowed: {', '.join(allowed)}"
                    f" (for example -e {name}={allowed[0]})."
                )
            return default
        value = self.given[name]
        if value in allowed:
            return str(value)
        self.problems.bad(name, value, ", ".join(allowed))
        return default

    def integer(self, name: str, default: int, low: int, high: int) -> int | None:
        if name not in self.given:
            return default
        value = self.given[name]
        number = _integer(value)
        if number is None or not low <= number <= high:
            self.problems.bad(name, value, f"an integer from {low} to {high}")
            return None
        return number

    def boolean(self, name: str, default: bool) -> bool:
        if name not in self.given:
            return default
        value = str(self.given[name]).lower()
        if value in ("true", "yes", "on", "1"):
            return True
        if value not in ("false", "no", "off", "0"):
            self.problems.bad(name, self.given[name], "true, false")
        return False

    def duration(self, name: str, default: int, low: int) -> int | None:
        """Seconds."""
        if name not in self.given:
            return default
        value = self.given[name]
        found = re.fullmatch(r"([0-9]+)\s*([smhd]?)", str(value))
        seconds = int(found.group(1)) * UNITS[found.group(2)] if found else -1
        if isinstance(value, bool) or not low <= seconds <= 30 * 86400:
            above = f"seconds {'above' if low else 'from'} 0"
            self.problems.bad(name, value, f"{above}, or 90m, 2h, 1d (30 d at most)")
            return None
        return seconds

    def run_id(self, name: str) -> str | None:
        value = self.given.get(name)
        if value is not None and not RUN_ID.fullmatch(str(value)):
            self.problems.bad(name, value, "YYYYmmddTHHMMSSZ-<6 hex digits>, as printed by a run")
        return None if value is None else str(value)

    def stages(self, name: str) -> list[str]:
        value = from_json(self.given.get(name, []))
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(names, list) or any(part not in STAGES for part in names):
            self.problems.bad(name, self.given[name], f"a list of {', '.join(STAGES)}")
            return []
        return [stage for stage in STAGES if stage in names]

    def exit_policy(self, name: str) -> str | int:
        """all, any, or the percentage of the hosts that must pass."""
        value = self.given.get(name, "all")
        if value in ("any", "all"):
            return str(value)
        number = _integer(value[:-1] if isinstance(value, str) and value.endswith("%") else value)
        if number is None or not 1 <= number <= 100:
            self.problems.bad(name, value, "any, all, or a percentage of hosts from 1 to 100")
            return "all"
        return number

    def verbatim(self, name: str) -> Any:
        return from_json(self.given.get(name))

    def source(self, name: str) -> dict[str, Any] | None:
        value = from_json(self.given.get(name))
        if value is None:
            return None
        found = part_source(value).found
        if found:
            self.problems.add(
                f"{name}: it holds {found}. Sources are recorded, so {how_to_give(name)}."
            )
            return None
        read: Callable[[Any], dict[str, Any] | None] = _place if isinstance(value, str) else _urls
        source = read(value)
        if source is None:
            self.problems.bad(
                name,
                self.given[name],
                "an absolute folder (/data/criteo), an rclone remote (name:path),"
                " the URL of a .uri file, or a list of {url, md5[, name]} with distinct file names",
            )
        return source


def is_given(value: object) -> bool:
    """An empty text counts as not given."""
    return not (value is None or (isinstance(value, str) and value.strip() == ""))


def shown(value: object) -> str:
    """A value in a message."""
    return redact(repr(value))


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def from_json(value: Any) -> Any:
    """An extra var is a string: "[...]" and "{...}" are read as JSON where they are JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _place(value: str) -> dict[str, Any] | None:
    if value.startswith("/"):
        return {"kind": "folder", "path": value.rstrip("/") or "/"}
    if re.match(r"^https?://[^/?#@\\]+/[^?#\\]+\.uri$", value):
        return {"kind": "uri", "uri": value}
    # rclone's own notation of a remote with its settings, ":backend,option=value:path".
    if re.match(r"^:[a-z0-9]+(,.*)?:", value):
        return {"kind": "rclone", "remote": value}
    if "://" not in value and re.match(r"^[A-Za-z0-9_][A-Za-z0-9_.+@ -]*:", value):
        return {"kind": "rclone", "remote": value}
    return None


def _urls(value: object) -> dict[str, Any] | None:
    if not isinstance(value, list) or not value:
        return None
    urls: list[dict[str, str]] = []
    for item in value:
        if not isinstance(item, dict) or not {"url", "md5"} <= set(item) <= {"url", "md5", "name"}:
            return None
        if any(not isinstance(field, str) for field in item.values()):
            return None
        name = item.get("name") or item["url"].split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        md5 = item["md5"].lower()
        if not re.match(r"^https?://[^/]+/", item["url"]) or not re.fullmatch(r"[0-9a-f]{32}", md5):
            return None
        if not re.fullmatch(r"[^/\0]+(/[^/\0]+)*", name) or {".", ".."} & set(name.split("/")):
            return None
        urls.append({"url": item["url"], "md5": md5, "name": name})
    if len({entry["name"] for entry in urls}) != len(urls):
        return None
    return {"kind": "urls", "urls": urls}

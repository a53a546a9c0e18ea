"""The public request: every unprefixed variable read once, checked, typed. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Callable

from .documents import FleetError, canonical_json, sha256_text

# Equal to benchmark/stages.json and to the action plugin's list: tests/contract compares.
STAGES = (
    *("repositories", "weights", "dataset", "dump", "calibrate", "tune", "accuracy"),
    *("performance", "audit"),
)
PUBLIC = (
    "precision",
    "scenario",
    "implementation",
    "profile",
    "weights_source",
    "data_source",
    "row_cap",
    "data_rows",
    "seed",
    "min_duration",
    "audit",
    "tune",
    "run_id",
    "run_wait",
    "force_stages",
    "verify",
    "keep",
    "deadline",
    "exit_policy",
    "provision",
    "release",
)
# Of Ansible and of those who start it; never ours.
FOREIGN_PREFIXES = ("ansible_", "awx_", "tower_", "molecule_")
RUN_ID = re.compile(r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$")
OFFICIAL_MIN_DURATION_SECONDS = 600
MARKS = {
    "demo": ["demo: not comparable"],
    "official": ["open", "unverified: not verified by MLCommons Association"],
}
DEADLINE_SECONDS = {"demo": 3600, "official": 86400}
# Of the cloud machines of the inventory's fleet, after the storage node has verified their results.
RELEASES = ("always", "passed", "never")
# Of a host's stages: all files, or those that the measurement reads.
KEEPS = ("all", "needed")
# MLPerf's own spelling is as good as ours.
LOADGEN_SCENARIOS = ("Offline", "Server")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Problems:
    """Collects every bad value, so that all are named at once."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def bad(self, name: str, value: object, allowed: str) -> None:
        self.sentences.append(f"{name}: {value!r} is not allowed; allowed: {allowed}.")

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)


def normalise(
    variables: dict[str, Any], extra_names: Iterable[str] = (), known_names: Iterable[str] = ()
) -> dict[str, Any]:
    """The typed request; raises FleetError that lists every problem.

    `variables`: public name -> value, strings or typed; `extra_names`: variables given with -e;
    `known_names`: the roles' own variables (dlrm_*).
    """
    problems = Problems()
    _refuse_unknown(extra_names, known_names, problems)
    given = {name: _plain(value) for name, value in variables.items() if _is_given(value)}
    if str(given.get("scenario")) in LOADGEN_SCENARIOS:
        given["scenario"] = given["scenario"].lower()
    reader = _Reader(given, problems)
    profile = reader.choice("profile", ("demo", "official"), "demo")
    sources = {
        "weights_source": reader.source("weights_source"),
        "data_source": reader.source("data_source"),
    }
    parameters = {
        "precision": reader.choice("precision", ("int8", "bf16", "fp32"), None),
        "scenario": reader.choice("scenario", ("offline", "server"), "offline"),
        "implementation": reader.choice("implementation", ("native",), "native"),
        "profile": profile,
        "row_cap": reader.integer("row_cap", 100_000, 100, 40_000_000),
        "data_rows": reader.integer("data_rows", 120_000, 2000, 10**9),
        "seed": reader.integer("seed", 1, 0, 2**31 - 1),
        "min_duration_seconds": reader.integer("min_duration", 10, 1, 86_400),
        "audit": reader.choice("audit", ("none", "test01"), "none"),
        "weights_source": reader.verbatim("weights_source"),
        "data_source": reader.verbatim("data_source"),
        "tune": reader.boolean("tune", False),
    }
    provision = reader.boolean("provision", False)
    deadline = reader.duration("deadline", DEADLINE_SECONDS[profile or "demo"], 1)
    _apply_profile(parameters, given, problems)
    _check_deadline(deadline, parameters["min_duration_seconds"], problems)
    request = {
        "schema_version": 1,
        "parameters": parameters,
        "run_id": reader.run_id("run_id"),
        "run_wait_seconds": reader.duration("run_wait", 0, 0),
        "force_stages": reader.stages("force_stages"),
        "verify": reader.boolean("verify", False),
        "keep": reader.choice("keep", KEEPS, "all"),
        "deadline_seconds": deadline,
        "exit_policy": reader.exit_policy("exit_policy"),
        "provision": provision,
        "release": reader.choice("release", RELEASES, "always" if provision else "never"),
        "sources": sources,
        "marks": MARKS[profile or "demo"],
    }
    if problems.sentences:
        raise FleetError(_refusal(problems.sentences))
    return request


def request_sha256(request: dict[str, Any]) -> str:
    """What is measured, not how it is watched (run_id, deadline, verify, ...)."""
    same = {name: request[name] for name in ("schema_version", "parameters", "sources")}
    # Came later than the first runs: left out where it is off, whose requests are still the same.
    if not same["parameters"].get("tune"):
        same["parameters"] = {k: v for k, v in same["parameters"].items() if k != "tune"}
    return sha256_text(canonical_json(same))


def _refusal(sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    return "\n".join([f"{len(sentences)} variables are refused:"] + [f"- {s}" for s in sentences])


def _refuse_unknown(extra: Iterable[str], known: Iterable[str], problems: Problems) -> None:
    known_names = {name for name in known if name.startswith("dlrm_")}
    candidates = sorted({*PUBLIC, *known_names})
    for name in sorted(set(extra) - set(candidates)):
        if name.startswith(FOREIGN_PREFIXES):
            continue
        near = difflib.get_close_matches(name, candidates, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PUBLIC)}."
        problems.add(f"{name}: unknown variable; {hint}")


def _is_given(value: object) -> bool:
    return not (value is None or (isinstance(value, str) and value.strip() == ""))


def _plain(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _apply_profile(parameters: dict[str, Any], given: dict[str, Any], problems: Problems) -> None:
    """What demo and official fix, need and refuse."""
    if parameters["profile"] == "official":
        for name in ("weights_source", "data_source"):
            if name not in given:
                problems.add(
                    f"{name}: missing, profile=official needs it; allowed: an absolute folder,"
                    " an rclone remote (name:path) or a list of {url, md5}."
                )
        fixed = {"row_cap": "full tables", "data_rows": "the user's data", "min_duration": "600 s"}
        for name, instead in fixed.items():
            if name in given:
                problems.add(
                    f"{name}: {given[name]!r} is not allowed with profile=official, which runs"
                    f" with {instead}; leave it out, or use profile=demo."
                )
        parameters["row_cap"] = None
        parameters["data_rows"] = None
        parameters["min_duration_seconds"] = OFFICIAL_MIN_DURATION_SECONDS
        return
    if "weights_source" in given:
        problems.add(
            f"weights_source: {given['weights_source']!r} is not allowed with profile=demo, which"
            " makes its own weights from seed; leave it out, or use profile=official."
        )
    if "data_source" in given:
        if "data_rows" in given:
            problems.add(
                f"data_rows: {given['data_rows']!r} is not allowed together with data_source,"
                " whose files decide; leave one of them out."
            )
        parameters["data_rows"] = None


def _check_deadline(deadline: int | None, min_duration: int | None, problems: Problems) -> None:
    if deadline is not None and min_duration is not None and deadline <= min_duration:
        problems.add(
            f"deadline: {deadline} s does not leave room for the measurement of"
            f" {min_duration} s (min_duration); allowed: more than {min_duration} s."
        )


class _Reader:
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
        if value is not None and not RUN_ID.match(str(value)):
            self.problems.bad(name, value, "YYYYmmddTHHMMSSZ-<6 hex digits>, as printed by a run")
        return None if value is None else str(value)

    def stages(self, name: str) -> list[str]:
        value = _from_json(self.given.get(name, []))
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(names, list) or any(part not in STAGES for part in names):
            self.problems.bad(name, self.given[name], f"a list of {', '.join(STAGES)}")
            return []
        return [stage for stage in STAGES if stage in names]

    def exit_policy(self, name: str) -> str | int:
        value = self.given.get(name, "all")
        if value in ("any", "all"):
            return str(value)
        number = _integer(value[:-1] if isinstance(value, str) and value[-1] == "%" else value)
        if number is None or not 1 <= number <= 100:
            self.problems.bad(name, value, "any, all, or a percentage of hosts from 1 to 100")
            return "all"
        return number

    def verbatim(self, name: str) -> Any:
        return _from_json(self.given.get(name))

    def source(self, name: str) -> dict[str, Any] | None:
        value = _from_json(self.given.get(name))
        if value is None:
            return None
        read: Callable[[Any], dict[str, Any] | None] = _place if isinstance(value, str) else _urls
        source = read(value)
        if source is None:
            self.problems.bad(
                name,
                self.given[name],
                "an absolute folder (/data/criteo), an rclone remote (name:path),"
                " or a list of {url, md5[, name]} with distinct file names",
            )
        return source


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def _from_json(value: Any) -> Any:
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
        if not re.match(r"^https?://[^/]+/", item["url"]) or not re.match(r"^[0-9a-f]{32}$", md5):
            return None
        if not re.match(r"^[^/\0]+(/[^/\0]+)*$", name) or {".", ".."} & set(name.split("/")):
            return None
        urls.append({"url": item["url"], "md5": md5, "name": name})
    if len({entry["name"] for entry in urls}) != len(urls):
        return None
    return {"kind": "urls", "urls": urls}

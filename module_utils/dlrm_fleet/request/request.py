"""The public request: every unprefixed variable read once, checked, typed. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ..base.documents import canonical_json, sha256_text
from ..base.errors import FleetError
from ..judge.rules import MARKS, MIN_DURATION_SECONDS
from ..wire.source_parts import part_url
from .values import Problems, Reader, from_json, is_given, shown

PUBLIC = (
    "precision",
    "scenario",
    "implementation",
    "profile",
    "weights_source",
    "data_source",
    "weights_secret_file",
    "data_secret_file",
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
# Addresses of mirrors and proxies: they stand in an image's history and in lists of processes.
ADDRESSES = (
    "dlrm_image_base",
    "dlrm_image_pip_index_url",
    "dlrm_image_torch_index_url",
    "dlrm_image_build_args",
    "dlrm_host_pip_environment",
)
# Variables of Ansible and of what starts it, never ours: AWX gives awx_job_id and tower_job_id,
# Semaphore semaphore_vars, Packer packer_build_name and more, Event-Driven Ansible ansible_eda.
FOREIGN_PREFIXES = ("ansible_", "awx_", "tower_", "semaphore_", "packer_", "molecule_")
DEADLINE_SECONDS = {"demo": 3600, "official": 86400}
# Which cloud machines are released after the storage node has verified their results.
RELEASES = ("always", "passed", "never")
# Which files of its stages a host keeps: all, or those that the measurement reads.
KEEPS = ("all", "needed")
# MLPerf's own spelling is accepted, too.
LOADGEN_SCENARIOS = ("Offline", "Server")


def normalise(
    variables: dict[str, Any],
    precisions: dict[str, Any],
    extra_names: Iterable[str] = (),
    known_names: Iterable[str] = (),
    near_misses: Iterable[str] = (),
) -> dict[str, Any]:
    """The typed request; raises FleetError that lists every problem.

    `variables`: public name -> value, strings or typed; `precisions`: the table, precisions.yml;
    `extra_names`: variables given with -e; `known_names`: the roles' own variables (dlrm_*);
    `near_misses`: what was found wrong with names of the inventory, a sentence each.
    """
    problems = Problems()
    _refuse_unknown(extra_names, known_names, problems)
    problems.sentences.extend(near_misses)
    _refuse_passwords(variables, problems)
    given = {name: _plain(value) for name, value in variables.items() if is_given(value)}
    if str(given.get("scenario")) in LOADGEN_SCENARIOS:
        given["scenario"] = given["scenario"].lower()
    reader = Reader(given, problems)
    profile = reader.choice("profile", ("demo", "official"), "demo")
    sources = {
        "weights_source": reader.source("weights_source"),
        "data_source": reader.source("data_source"),
    }
    parameters = {
        "precision": reader.choice("precision", tuple(precisions), None),
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
    }
    if problems.sentences:
        raise FleetError(_refusal(problems.sentences))
    request["marks"] = [*MARKS[profile or "demo"], *precisions[parameters["precision"]]["marks"]]
    return request


def request_sha256(request: dict[str, Any]) -> str:
    """Of what is measured, without how it is run (run_id, deadline, verify, ...)."""
    same = {name: request[name] for name in ("schema_version", "parameters", "sources")}
    # tune is newer than the first runs: left out where it is off, so that they keep their sha256.
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


def _refuse_passwords(variables: dict[str, Any], problems: Problems) -> None:
    for name in ADDRESSES:
        value = from_json(variables.get(name))
        parts = value.values() if isinstance(value, dict) else [value]
        found = [part_url(part).found for part in parts if isinstance(part, str)]
        if any(found):
            problems.add(
                f"{name}: it holds {next(filter(None, found))}, which the image's history or a list"
                " of processes would show. Give the address without it: on a host, pip reads user"
                " and password from root's ~/.netrc (mode 0600); for the image, name a folder of"
                " wheels in dlrm_image_find_links (docs/inventories.md, 'How do I give a secret?')."
            )


def _plain(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _apply_profile(parameters: dict[str, Any], given: dict[str, Any], problems: Problems) -> None:
    """Set the values that the profile fixes; note what it needs and what it refuses."""
    if parameters["profile"] == "official":
        for name in ("weights_source", "data_source"):
            if name not in given:
                problems.add(
                    f"{name}: missing, profile=official needs it; allowed: an absolute folder,"
                    " an rclone remote (name:path), the URL of a .uri file or a list of {url, md5}."
                )
        fixed = {"row_cap": "full tables", "data_rows": "the user's data", "min_duration": "600 s"}
        for name, instead in fixed.items():
            if name in given:
                problems.add(
                    f"{name}: {shown(given[name])} is not allowed with profile=official, which runs"
                    f" with {instead}; leave it out, or use profile=demo."
                )
        parameters["row_cap"] = None
        parameters["data_rows"] = None
        parameters["min_duration_seconds"] = MIN_DURATION_SECONDS
        return
    if "weights_source" in given:
        problems.add(
            f"weights_source: {shown(given['weights_source'])} is not allowed with profile=demo,"
            " which makes its own weights from seed; leave it out, or use profile=official."
        )
    if "data_source" in given:
        if "data_rows" in given:
            problems.add(
                f"data_rows: {shown(given['data_rows'])} is not allowed together with data_source,"
                " whose files decide; leave one of them out."
            )
        parameters["data_rows"] = None


def _check_deadline(deadline: int | None, min_duration: int | None, problems: Problems) -> None:
    if deadline is not None and min_duration is not None and deadline <= min_duration:
        problems.add(
            f"deadline: {deadline} s does not leave room for the measurement of"
            f" {min_duration} s (min_duration); allowed: more than {min_duration} s."
        )

"""Reads and checks request.json, the order for a stage (docs/contracts/request.schema.json)."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS

SCHEMA_VERSION = 1
MOUNT_ROOT = PurePosixPath("/dlrm")


def now() -> str:
    """The time in UTC as RFC 3339 in whole seconds, the only form of time in the documents."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime.datetime:
    """Inverse of now()."""
    parsed = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return parsed.replace(tzinfo=datetime.UTC)


def dlrm_root() -> Path:
    """Folder of request.json, output/, inputs/ and source/; only tests move it."""
    return Path(os.environ.get("DLRM_ROOT", str(MOUNT_ROOT)))


def local_path(mounted: str) -> Path:
    """A request's /dlrm/... path on this file system."""
    return dlrm_root() / PurePosixPath(mounted).relative_to(MOUNT_ROOT)


@dataclass(frozen=True)
class Parameters:
    """The public request; meanings in docs/contracts/request.schema.json."""

    precision: str
    scenario: str
    implementation: str
    profile: str
    row_cap: int | None
    data_rows: int | None
    seed: int
    min_duration_seconds: int
    audit: str
    weights_source: Any
    data_source: Any
    tune: bool = False

    @property
    def demo(self) -> bool:
        """Small synthetic or planted runs, never comparable."""
        return self.profile == "demo"


@dataclass(frozen=True)
class InputFile:
    """One file that an earlier stage made, with the size and sha256 that its stage.json lists."""

    stage: str
    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Location of the user's files: a folder, an rclone remote, URLs with md5, or a .uri's URL."""

    kind: str
    path: Path | None = None
    remote: str = ""
    urls: tuple[Mapping[str, str], ...] = ()
    uri: str = ""


@dataclass(frozen=True)
class Request:
    """request.json, checked."""

    stage: str
    key: str
    recipe: int
    attempt: int
    run_id: str
    parameters: Parameters
    inputs: tuple[InputFile, ...]
    source: Source | None
    deadline: str
    provenance: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def read(cls, path: Path) -> Request:
        """Load and check the file; StageError names the wrong field."""
        what = f"cannot use request '{path}'"
        remedy = "Use an image and a playbook of the same commit"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StageError(what, str(error), remedy) from error
        try:
            return cls.from_document(document)
        except KeyError as error:
            raise StageError(what, f"field {error} is missing", remedy) from error
        except (TypeError, ValueError) as error:
            raise StageError(what, str(error), remedy) from error

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Request:
        """Build from parsed JSON; KeyError, TypeError or ValueError name what is wrong."""
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {version!r}, this image reads {SCHEMA_VERSION}")
        stage, key = str(document["stage"]), str(document["key"])
        if not re.fullmatch("[a-z_]+", stage):
            raise ValueError(f"stage is {stage!r}, wanted lower-case letters and underscores")
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError(f"key is {key!r}, wanted 64 hexadecimal digits")
        parse_time(document["deadline"])
        return cls(
            stage=stage,
            key=key,
            recipe=int(document["recipe"]),
            attempt=int(document["attempt"]),
            run_id=str(document["run_id"]),
            parameters=_parameters(document["parameters"]),
            inputs=tuple(
                InputFile(of, f["name"], local_path(f["path"]), f["bytes"], f["sha256"])
                for of, files in document["inputs"].items()
                for f in files
            ),
            source=_source(document["source"]),
            deadline=document["deadline"],
            provenance=document["provenance"],
            document=document,
        )


def _parameters(given: Mapping[str, Any]) -> Parameters:
    allowed = {"precision": tuple(PRECISIONS), "profile": ("demo", "official")}
    for name, values in allowed.items():
        if given[name] not in values:
            wanted = ", ".join(values)
            raise ValueError(f"parameter {name} is {given[name]!r}, wanted one of {wanted}")
    unknown = set(given) - set(Parameters.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown parameters: {', '.join(sorted(unknown))}")
    known = {"tune": False, **given}
    return Parameters(**{name: known[name] for name in Parameters.__dataclass_fields__})


def _source(given: Mapping[str, Any] | None) -> Source | None:
    if given is None:
        return None
    kind = given["kind"]
    if kind == "folder":
        return Source(kind, path=local_path(given["path"]))
    if kind == "rclone":
        return Source(kind, remote=given["remote"])
    if kind == "urls":
        return Source(kind, urls=tuple(given["urls"]))
    if kind == "uri":
        return Source(kind, uri=given["uri"])
    raise ValueError(f"source kind is {kind!r}, wanted folder, rclone, urls or uri")

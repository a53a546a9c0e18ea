"""The ways that start at a measured host: to its own folder, and to where its files come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...base.errors import FleetError
from ...base.wording import number
from ...wire.ways import Way
from . import engine, packages, sources
from .fetching import Through, first_bytes, host_of
from .trying import Hint, Skip, Trial

# The repository of the benchmark's images (container/image.py).
IMAGES = "dlrm-bench:"
NO_ENGINE = "no container engine answers yet: a run installs or starts it"
NOTHING = "the host has all packages"


@dataclass
class Host:
    """What is known of the host before its ways are tried."""

    name: str
    root: Path
    # uid and gid of the containers' user.
    owner: tuple[int, int]
    # Where the container engine listens; empty if none answers.
    socket: str
    # Python packages that its environment lacks, and the distribution's packages that a run needs.
    lacking: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    pip_environment: dict[str, str] = field(default_factory=dict)
    # What pip asks where nothing sets an index.
    pip_index: str = ""
    # The image's base; empty if another machine builds, or the base is brought along.
    base: str = ""
    base_elsewhere: str = ""
    # By stage: the typed source, and its secret URLs.
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    # "/", but in tests.
    system: Path = Path("/")


def trials(host: Host) -> Iterator[Trial]:
    at = partial(Way, start=host.name)
    yield Trial(at("engine sees root", end=str(host.root)), partial(_engine_sees_root, host))
    yield from _pip(host)
    yield from _apt(host)
    base = host.base or "the base image"
    yield Trial(at("registry", end=base), partial(_registry, host))
    for stage, source in host.sources.items():
        yield from _source(host, stage, source)


def _engine_sees_root(host: Host) -> str:
    if not host.socket:
        raise Skip(NO_ENGINE)
    ask = engine.Asked(host.socket)
    image = next((tag for tag in engine.tags(ask) if tag.startswith(IMAGES)), "")
    if not image:
        raise Skip("there is no image of the benchmark yet")
    return engine.sees_root(ask, host.root, image)


def _pip(host: Host) -> Iterator[Trial]:
    settings = packages.pip_settings(host.system, host.pip_environment, host.pip_index)
    url = f"{settings.index}/{host.lacking[0]}/" if host.lacking else f"{settings.index}/"
    way = Way("pip", host.name, host_of(settings.index) or "no index")

    def ask() -> str:
        if not host.lacking:
            raise Skip(NOTHING)
        if not settings.index:
            raise Skip("pip is told to use no index, or its default is not known here")
        try:
            return f"HTTP {first_bytes(url, settings.through, 'pip').status}"
        except FleetError as error:
            set_it = "in dlrm_host_pip_environment (PIP_INDEX_URL, PIP_CERT, https_proxy)"
            failure = Hint if settings.others else FleetError
            raise failure(error.what, error.why, f"{error.todo}; set it {set_it}") from None

    yield Trial(way, ask)


def _apt(host: Host) -> Iterator[Trial]:
    if not (host.system / "etc/apt").is_dir():
        why = "only apt is tried; this host has another package manager"
        yield Trial(Way("packages", host.name, "its mirror"), partial(_skip, why))
        return
    through = packages.apt_through(host.system)
    missing = packages.not_installed(host.system, host.wanted)
    needed = bool(missing) or (bool(host.lacking) and packages.lacks_lists(host.system))
    urls = packages.apt_indexes(host.system) or [""]
    for url in urls if needed else urls[:1]:
        way = Way("apt", host.name, host_of(url).partition("/dists/")[0] or "its mirror")
        yield Trial(way, partial(_mirror, url, through, needed, missing))


def _mirror(url: str, through: Through, needed: bool, missing: list[str]) -> str:
    if not needed:
        raise Skip(NOTHING)
    if not url:
        why = "there is no http mirror in /etc/apt/sources.list"
        raise Hint("apt", why, f"A run needs {', '.join(missing)} from it")
    try:
        return f"HTTP {first_bytes(url, through, 'apt').status}"
    except FleetError as error:
        wanted = f"A run needs {', '.join(missing) or 'its lists'}. {error.todo}"
        # A mirror may have Release in place of InRelease.
        failure = Hint if "HTTP 404" in error.why else FleetError
        raise failure("apt", error.why, f"{wanted} (/etc/apt)") from None


def _registry(host: Host) -> str:
    if not host.base:
        raise Skip(host.base_elsewhere or "it is not needed")
    if not host.socket:
        raise Skip(NO_ENGINE)
    ask = engine.Asked(host.socket)
    found = engine.tags(ask)
    if any(tag.startswith(IMAGES) for tag in found) or host.base in found:
        raise Skip("the image is there")
    return engine.reaches_registry(ask, host.base)


def _source(host: Host, stage: str, source: dict[str, Any]) -> Iterator[Trial]:
    made = any(
        (folder / name).is_file()
        for folder in (host.root / "stages" / stage).glob("*")
        for name in ("stage.json", "elsewhere.json")
    )
    what = f"source of {stage}"
    if source.get("kind") == "folder":
        folder = Path(str(source["path"]))
        way = Way(what, host.name, str(folder))
        yield Trial(way, partial(_lenient, made, partial(_folder, folder, host.owner)))
        return
    if source.get("kind") == "rclone":
        why = "only rclone in the container can ask this remote: its stage does"
        yield Trial(Way(what, host.name, "a remote of rclone"), partial(_skip, why))
        return
    urls = sources.urls_of(source, host.secrets.get(stage, {}))
    for url in urls[: sources.MOST_URLS]:
        way = Way(what, host.name, host_of(url))
        ask = partial(_url, url, len(urls), host.root)
        yield Trial(way, partial(_lenient, made, ask))
    if len(urls) > sources.MOST_URLS:
        rest = f"the first {sources.MOST_URLS} of {len(urls)} files are asked"
        yield Trial(Way(what, host.name, "its other files"), partial(_skip, rest))


def _folder(folder: Path, owner: tuple[int, int]) -> str:
    return number(sources.readable_folder(folder, *owner), "bytes")


def _url(url: str, files: int, root: Path) -> str:
    size = sources.readable_url(url, Through({}))
    if size is None or files > 1:
        return "its first bytes arrive"
    where = root
    while not where.exists():
        where = where.parent
    found = os.statvfs(where)
    return sources.enough_space(size, found.f_bavail * found.f_frsize)


def _lenient(made: bool, ask: Any) -> str:
    """What was made of a source does not need it again."""
    try:
        return str(ask())
    except FleetError as error:
        if made:
            raise Hint(error.what, f"{error.why}; its stage is made already", error.todo) from None
        raise


def _skip(why: str) -> str:
    raise Skip(why)
